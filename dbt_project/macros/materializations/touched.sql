{# How an hourly run finds out what it has to do again. A model with the config `tracks` (columns) keeps, beside its table,
   the values of these columns whose rows differ from what they were: new, gone or changed. `<model>__touched` gathers them
   until a build of everything succeeds (orchestration/lib/builds.py empties it then), so that a run that was cut short is made
   good by the next one. A model that others rebuild from must stand before them in the lineage, with ref().

   Columns of `tracks_apart` change often and mean nothing to most who ask: rows that differ in these alone are noted as such
   (`is_apart`), and touched_rows(…, apart=false) leaves them out. #}

{# Statements for the materializations: write down what differs between the rows before and the rows now. #}
{% macro note_touched(before, now) %}
    {%- set columns = config.get('tracks') %}
    {%- set apart = config.get('tracks_apart') %}
    {%- if columns %}
        {%- set names = columns | join(', ') %}
        {{ keep_touched(now) }}
        insert into {{ touched_relation(this) }}
        select {{ names }}{% if apart %}, sum(side) = 0 and sum(digest_of_rest) = 0 as is_apart{% endif %}
        from (
            -- sums of hashes: equal for equal sets of rows, and nothing is sorted or joined
            {%- for relation, side in [(now, 1), (before, -1)] %}
            select
                {{ names }},
                {{ side }} as side,
                {{ side }} * cast(hash(content) as hugeint) as digest
                {%- if apart %},
                {{ side }} * cast(hash(*columns(* exclude ({{ apart | join(', ') }}))) as hugeint) as digest_of_rest
                {%- endif %}
            from {{ relation }} as content
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        ) as sides
        group by {{ names }}
        having sum(side) <> 0 or sum(digest) <> 0;
    {%- endif %}
{% endmacro %}

{# Statements for the materializations: the table of notes is there. What a run that was cut short noted is kept, but for a
   full one, which `clear`s it. #}
{% macro keep_touched(now, clear=false) %}
    {%- set columns = config.get('tracks') %}
    {%- if columns %}
        create {{ 'or replace table' if clear else 'table if not exists' }} {{ touched_relation(this) }}
        as select {{ columns | join(', ') }}{{ ', false as is_apart' if config.get('tracks_apart') }} from {{ now }} limit 0;
    {%- endif %}
{% endmacro %}

{% macro touched_relation(relation) -%}{{ return(beside(relation, '__touched')) }}{%- endmacro %}

{# What stands beside a table, under its name and an ending. #}
{% macro beside(relation, ending) -%}
    {{ return(api.Relation.create(
        database=relation.database, schema=relation.schema, identifier=relation.identifier ~ ending, type='table'
    )) }}
{%- endmacro %}

{# A query of the distinct values of `columns` that a model touched; with `apart` false, not those of rows that differ in columns of
   `tracks_apart` alone. #}
{% macro touched_rows(model_name, columns, apart=true) -%}
    {%- set relation = ref(model_name) -%}
    select distinct {{ columns }} from {{ touched_relation(relation) }}{{ ' where not is_apart' if not apart }}
{%- endmacro %}

{# In an incremental model, a condition that keeps the part this run rebuilds; in a full one, true. `columns` is what the
   relation at hand calls the columns `by`, those of `replaced_by` unless told, `replaced_from` the model, or models, that list
   their values. A model that is kept in a full build looks at everything then. #}
{% macro only_replaced(columns, replaced_from, by=none, sift=true) -%}
    {#- for the lineage; a unit test is never incremental, has no `this` and need not give the model -#}
    {%- if not execute %}{% do replaced_values(replaced_from, columns) %}{% endif -%}
    {%- if this is not none and is_incremental() and not flags.FULL_REFRESH -%}
        {{ is_listed(columns, replaced_from, by or listed(config.get('replaced_by')), sift) }}
    {%- else -%}
        true
    {%- endif %}
{%- endmacro %}

{# The condition itself. Where the lists have sieves for a column of `by`, these go first (sieves.sql). #}
{% macro is_listed(columns, replaced_from, by, sift=true) -%}
    {%- set sieves = [] -%}
    {%- set names = by.split(', ') -%}
    {%- for column, name in zip([columns] if names | length == 1 else columns.split(', '), names) -%}
        {%- for model_name in as_list(replaced_from) if execute and name in as_list(config_of(model_name).get('sieves', [])) -%}
            {%- do sieves.append(sieve_of(ref(model_name), name) ~ '(' ~ column ~ ')') -%}
        {%- endfor -%}
    {%- endfor -%}
    (
        {%- if sift and sieves | length == as_list(replaced_from) | length %}({{ sieves | join(' or ') }}) and {% endif -%}
        ({{ columns }}) in ({{ replaced_values(replaced_from, by) }})
    )
{%- endmacro %}

{# In an incremental model, whether a date is not before the first that a list holds, or so many days earlier; in a full one, true. The date
   is written into the query: recent rows lie apart, and a constant leaves out the others without reading them. #}
{% macro only_since(column, list_name, by, days_earlier=0) -%}
    {%- set first = [none] -%}
    {%- if this is not none and is_incremental() and not flags.FULL_REFRESH -%}
        {%- set first = run_query('select min(' ~ by ~ ') - ' ~ days_earlier ~ ' from ' ~ ref(list_name)).columns[0].values() -%}
    {%- endif -%}
    {{ column ~ " >= cast('" ~ first[0] ~ "' as date)" if first[0] is not none else 'true' }}
{%- endmacro %}

{% macro as_list(names) -%}{{ return([names] if names is string else names) }}{%- endmacro %}

{% macro config_of(model_name) -%}{{ return(graph.nodes['model.' ~ project_name ~ '.' ~ model_name].config) }}{%- endmacro %}

{# Statements for the incremental materialization: what it brought stays for those who say part_of(), or goes. #}
{% macro keep_part(aside) %}
    {%- if config.get('keeps_part') %}
        drop table if exists {{ beside(this, '__part') }};
        alter table {{ aside }} rename to {{ beside(this, '__part').identifier }};
    {%- else %}
        drop table {{ aside }};
    {%- endif %}
{% endmacro %}

{# A relation to read a model with `keeps_part` from, in a model that replaces the same part: the rows a run brought, all of them in a
   full one. #}
{% macro part_of(model_name, replaced_from='int_touched_customers') -%}
    {%- set relation = ref(model_name) -%}
    {%- if not execute %}{% do replaced_values(replaced_from, '*') %}{% endif -%}
    {%- if this is not none and is_incremental() and not flags.FULL_REFRESH -%}
        {%- set kept = config_of(model_name) -%}
        {%- if not kept.get('keeps_part') or not kept.get('replaced_from') == config.require('replaced_from') == replaced_from -%}
            {%- do exceptions.raise_compiler_error(
                model_name ~ ' keeps no part, or another than ' ~ this.identifier ~ ' replaces. Next step: read it with only_replaced()'
            ) -%}
        {%- endif -%}
        {{ beside(relation, '__part') }}
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{# A query of what the models of `replaced_from` list. #}
{% macro replaced_values(replaced_from, by) -%}
    {%- for model_name in as_list(replaced_from) -%}
    select {{ by }} from {{ ref(model_name) }}{{ ' union all ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro only_touched(column) -%}{{ only_replaced(column, 'int_touched_customers') }}{%- endmacro %}

{# For data tests of what holds within a customer: in an hourly build those of the list, whose rows it wrote; in a full one, and whenever tests
   are run by themselves, everybody. #}
{% macro only_checked(column, list_name) -%}
    {%- if not execute %}{% do replaced_values(list_name, column) %}{% endif -%}
    {%- if execute and flags.WHICH == 'build' and not flags.FULL_REFRESH -%}
        {{ is_listed(column, list_name, column) }}
    {%- else -%}
        true
    {%- endif %}
{%- endmacro %}

{# For rows that lie by device: whether they are of one these customers may have been on. #}
{% macro only_visits(column) -%}{{ only_replaced(column, 'int_touched_visits', 'user_pseudo_id') }}{%- endmacro %}

{# A relation to read visits from, in a model that replaces int_touched_customers: theirs, found once for all of these models; everybody's in
   a full one. #}
{% macro own_visits() -%}
    {#- for the lineage -#}
    {%- if not execute %}{% do ref('int_touched_customers') %}{% do ref('int_touched_sessions') %}{% endif -%}
    {{ ref('int_touched_sessions' if this is not none and is_incremental() and not flags.FULL_REFRESH else 'int_ga4_sessions') }}
{%- endmacro %}

{# As only_touched, for what is judged by the clock too, profiles and segments. A model that says it is incremental by that alone: a segment
   that does not is built whole, and what it changed is noted (int_touched_segments). #}
{% macro only_members(column) -%}
    {%- do config(materialized='incremental', replaced_by='customer_id', replaced_from='int_touched_members', tracks=[]) -%}
    {{ only_replaced(column, 'int_touched_members') }}
{%- endmacro %}

{# As only_replaced, for a staging model that replaces units of a raw table. #}
{% macro only_changed() -%}
    {%- if this is not none and is_incremental() and not flags.FULL_REFRESH -%}
        {{ config.require('replaced_by') }} in ({{ replaced_units() }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# A query of the units of the raw table `replaced_units` that a run reads again: those that changed, and those with rows that were
   perhaps in the future of the last build by one of the texts `later_by`. Units are text unless `unit_type` says otherwise. #}
{% macro replaced_units() -%}
    {%- set table_name = config.require('replaced_units') -%}
    {{ changed_units([table_name], config.get('unit_type')) }}
    {%- for raw_moment in config.require('later_by') %}
    union all
    select {{ config.require('replaced_by') }}
    from {{ source(table_name.split('_')[0], table_name) }}
    where {{ may_be_later(raw_moment) }}
    {%- endfor %}
{%- endmacro %}

{# What a later model of the lineage holds from the run before, or none where there has been none. #}
{% macro held_relation(model_name, schema=none) -%}
    {{ return(load_relation(this.incorporate(path={'schema': schema or this.schema, 'identifier': model_name}))) }}
{%- endmacro %}
