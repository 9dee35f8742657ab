{# The latest order is in the status group failed. #}
{{ order_group_segment('failed') }}
