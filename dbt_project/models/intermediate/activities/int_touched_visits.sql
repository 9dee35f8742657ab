{# Devices of whom an hourly run does again. #}
{{ devices_of_listed('int_touched_customers') }}
