{# Paid something within the value window, not much. #}
{{ value_segment('low') }}
