{# The latest order is in the status group completed. #}
{{ order_group_segment('completed') }}
