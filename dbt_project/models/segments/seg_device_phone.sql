{# The last quote or device sold is a phone. #}
{{ device_segment('phone') }}
