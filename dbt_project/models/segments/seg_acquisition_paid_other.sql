{# First came from any other advertisement: display, video, shopping, audio. #}
{{ acquisition_segment('paid_other') }}
