{# First came from an advertisement on a social network. #}
{{ acquisition_segment('paid_social') }}
