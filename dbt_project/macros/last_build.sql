{# What the last complete build saw. Both tables are the engine's own, not a source's: raw._changes is written by the pulls
   (orchestration/sources/landing.py), state.last_build after a build of everything (orchestration/lib/builds.py). #}
{% macro last_build() -%}
    (select as_of, change_id from state.last_build)
{%- endmacro %}

{# Which units of raw tables differ from what the last complete build saw (the landings note them: TableSpec.changes_by), as text
   or what else they were. #}
{% macro changed_units(table_names, unit_type=none) -%}
    select {{ 'try_cast(changes.unit as ' ~ unit_type ~ ')' if unit_type else 'changes.unit' }}
    from raw._changes as changes
    inner join {{ last_build() }} as last_build on changes.change_id > last_build.change_id
    where changes.table_name in ('{{ table_names | join("', '") }}')
{%- endmacro %}

{# Whether a row was perhaps in the future of the last complete build, by its raw text of a moment: a build leaves out what lies
   beyond its moment, and nobody notes that time passed. A day is more than zones differ; to read the text would cost far more
   than to read a day's rows again. #}
{% macro may_be_later(raw_moment) -%}
    {{ raw_moment }} >= (select cast(cast(as_of as date) - 1 as varchar) from {{ last_build() }} as last_build)
{%- endmacro %}

{# Whether time alone moved something since the last complete build: one of the `moments`, a column or several, passed, or came to be as
   old as one of the `ages`, which are pairs of a unit and a number, [['day', 30], ['hour', 48]]. What fell on the last build's own moment is told again:
   whether that was in or out is for each rule to say. The last build's moment is written into the query: joined to it, sixty
   million rows were compared one by one. `days_earlier` looks so much further back. #}
{% macro came_of_age(moments, ages=[['day', 0]], days_earlier=0) -%}
    {%- set last = [] -%}
    {#- whoever compiles by hand may have built nothing yet -#}
    {%- if execute and adapter.get_relation(target.database, 'state', 'last_build') -%}
        {%- set last = run_query('select as_of from state.last_build').columns[0].values() -%}
    {%- endif -%}
    {%- if last | length == 0 -%}
        false
    {%- else -%}
    {%- set last_as_of = dbt.dateadd('day', -days_earlier, "cast('" ~ last[0] ~ "' as timestamp)") -%}
    (
        {%- for moment in as_list(moments) %}
        {%- set is_last = loop.last %}
        {%- for unit, number in ages %}
        (
            {{ moment }} >= {{ dbt.dateadd(unit, -number, last_as_of) }}
            and {{ moment }} <= {{ dbt.dateadd(unit, -number, as_of()) }}
        )
        {%- if not (loop.last and is_last) %} or{% endif %}
        {%- endfor %}
        {%- endfor %}
    )
    {%- endif -%}
{%- endmacro %}

{# On a warehouse nothing was pulled into or built in yet they are empty. #}
{% macro ensure_last_build() %}
    {% if flags.WHICH in ('build', 'run', 'test') %}
        create schema if not exists raw;
        create schema if not exists state;
        create table if not exists raw._changes (
            change_id bigint not null, source varchar not null, table_name varchar not null, unit varchar not null
        );
        create table if not exists state.last_build (
            as_of timestamp not null, full_at timestamp not null, change_id bigint not null, code varchar not null
        );
    {% endif %}
{% endmacro %}
