{# The latest order is in the status group in_progress. #}
{{ order_group_segment('in_progress') }}
