{# The last quote or device sold is a tablet. #}
{{ device_segment('tablet') }}
