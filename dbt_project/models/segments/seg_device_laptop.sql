{# The last quote or device sold is a laptop. #}
{{ device_segment('laptop') }}
