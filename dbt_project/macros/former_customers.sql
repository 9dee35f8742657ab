{# The redirect table, for what the ledger wrote down under an id that was merged away since: former_id, customer_id. #}
{% macro former_customers() -%}
    select id_value as former_id, customer_id from {{ ref('int_customer_map') }} where id_type = 'former_customer'
{%- endmacro %}
