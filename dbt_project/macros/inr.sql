{# Rupees with Indian grouping: 124500 -> '₹1,24,500'. #}
{% macro inr(column) -%}
    case
        when {{ column }} is null then ''
        when {{ column }} >= 100000 then
            '₹' || cast(cast(floor({{ column }} / 100000) as bigint) as varchar)
            || ',' || lpad(cast(cast(floor(({{ column }} % 100000) / 1000) as bigint) as varchar), 2, '0')
            || ',' || lpad(cast(cast(floor({{ column }} % 1000) as bigint) as varchar), 3, '0')
        when {{ column }} >= 1000 then
            '₹' || cast(cast(floor({{ column }} / 1000) as bigint) as varchar)
            || ',' || lpad(cast(cast(floor({{ column }} % 1000) as bigint) as varchar), 3, '0')
        else '₹' || cast(cast(floor({{ column }}) as bigint) as varchar)
    end
{%- endmacro %}
