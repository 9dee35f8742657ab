{# First came from an unpaid post on a social network. #}
{{ acquisition_segment('organic_social') }}
