{# A sieve is a function beside a list of what an hourly run touched, `<list>__may_hold_<column>(value)`: false for almost all values the
   list does not hold. To a join DuckDB brings every row with all of its columns. A bit mask of hashes is a constant it tries on one column
   before it reads the others, and where none of 2,048 neighbours passes, it skips them: a few people's rows are found by reading
   little more than these, if they lie together (`cluster_by`, order of a hash: what passes by chance lies beside what is meant).

   only_replaced() puts it before its condition. get_bit could fail, and past what could fail DuckDB moves nothing: it tries one such function a
   table, and not beside a condition that computes or compares columns, nor through a list of columns chosen before; each simpler condition is
   tried on all rows too. Where that costs, a model says why it asks otherwise (SIFTS_LATE in test_incremental lists the rest). #}

{# For the table materialization: the functions of a list with the config `sieves`, columns of it. #}
{% macro keep_sieves(relation) %}
    {%- for column in as_list(config.get('sieves', [])) %}
        {%- set mask %}
            select hex(cast(coalesce(bitstring_agg({{ sieve_slot(column) }}, 0, 131071), bitstring('0', 131072)) as blob)) from {{ relation }}
        {%- endset %}
        {% call statement('sieve') %}
            create or replace function {{ sieve_of(relation, column) }}(listed)
            as get_bit(cast(unhex('{{ run_query(mask).columns[0].values()[0] }}') as bit), {{ sieve_slot('listed') }}) = 1
        {% endcall %}
    {%- endfor %}
{% endmacro %}

{% macro sieve_of(relation, column) -%}{{ return(beside(relation, '__may_hold_' ~ column)) }}{%- endmacro %}

{# One of 131,072 bits: the mask is copied for every 2,048 rows. #}
{% macro sieve_slot(column) -%}{{ return('cast(hash(cast(' ~ column ~ ' as varchar)) >> 47 as integer)') }}{%- endmacro %}
