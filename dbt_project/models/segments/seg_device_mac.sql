{# The last quote or device sold is a mac. #}
{{ device_segment('mac') }}
