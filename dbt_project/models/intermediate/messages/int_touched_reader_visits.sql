{# Devices of whose messages an hourly run does again. #}
{{ devices_of_listed('int_touched_readers') }}
