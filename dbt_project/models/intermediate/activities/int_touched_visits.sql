{# Devices of whom an hourly run does again. #}
{{ devices_of('int_touched_customers') }}
