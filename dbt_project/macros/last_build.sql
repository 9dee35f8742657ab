{# What the last complete build saw. Both tables are the engine's own, not a source's: raw._changes is written by the pulls
   (orchestration/sources/landing.py), state.last_build after a build of everything (orchestration/lib/builds.py). #}
{% macro last_build() -%}
    (select as_of, change_id from state.last_build)
{%- endmacro %}

{% macro changes_since_last_build(source_name) -%}
    (
        select changes.unit
        from raw._changes as changes
        inner join state.last_build on changes.change_id > last_build.change_id
        where changes.source = '{{ source_name }}'
    )
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
