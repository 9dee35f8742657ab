{# The latest order is in the status group pending. #}
{{ order_group_segment('pending') }}
