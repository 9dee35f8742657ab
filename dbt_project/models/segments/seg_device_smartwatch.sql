{# The last quote or device sold is a smartwatch. #}
{{ device_segment('smartwatch') }}
