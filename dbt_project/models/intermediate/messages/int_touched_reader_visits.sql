{# Devices of whose messages an hourly run does again. #}
{{ devices_of('int_touched_readers') }}
