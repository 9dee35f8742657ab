{# First came from a message or a place Google has no channel for. #}
{{ acquisition_segment('other') }}
