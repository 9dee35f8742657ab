{# 64-bit signed hash of a destination row, compared with what the destination last confirmed. Never compared across engine
   versions: the ledger keeps the version and a canary beside the snapshot. #}
{% macro payload_hash(columns) -%}{{ return(adapter.dispatch('payload_hash')(columns)) }}{%- endmacro %}
{% macro default__payload_hash(columns) -%}
    cast(cast(hash({{ columns | join(', ') }}) as hugeint) - 9223372036854775808 as bigint)
{%- endmacro %}
