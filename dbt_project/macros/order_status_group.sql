{# The group of an order status, as reports and segments name it. #}
{% macro order_status_group(status) -%}
    case
        when {{ status }} = 'placed' then 'pending'
        when {{ status }} in ('confirmed', 'pickup_scheduled', 'pickup_failed', 'picked_up') then 'in_progress'
        when {{ status }} = 'completed' then 'completed'
        else 'failed'
    end
{%- endmacro %}
