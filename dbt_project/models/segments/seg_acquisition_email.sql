{# First came from an e-mail. #}
{{ acquisition_segment('email') }}
