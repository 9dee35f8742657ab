{# Paid much within the value window: among the top share of those paid, or above the threshold. #}
{{ value_segment('high') }}
