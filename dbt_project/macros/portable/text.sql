{# A stable key over columns: md5, because it is the same on every engine and version. NULL and '' stay apart. #}
{% macro key_of(columns) -%}
    md5(
        {%- for column in columns %}
        coalesce(cast({{ column }} as varchar), '~') {%- if not loop.last %} || '|' || {% endif %}
        {%- endfor %}
    )
{%- endmacro %}

{# A person's place on [0, 100) under a salt: sticky, portable, and the same whenever it is asked again. #}
{% macro bucket_of(salt, column) -%}{{ return(adapter.dispatch('bucket_of')(salt, column)) }}{%- endmacro %}
{% macro default__bucket_of(salt, column) -%}
    cast(('0x' || substr(md5('{{ salt }}' || '|' || {{ column }}), 1, 8)) as bigint) * 100.0 / 4294967296.0
{%- endmacro %}

{# E-mail as an identity key: lower case, +tags folded away, at gmail dots too. The address as given stays in its own column. #}
{% macro folded_email(column) -%}
    {%- set mailbox = "split_part(split_part(" ~ column ~ ", '@', 1), '+', 1)" -%}
    {%- set domain = "split_part(" ~ column ~ ", '@', 2)" -%}
    case
        when {{ domain }} in ('gmail.com', 'googlemail.com') then replace({{ mailbox }}, '.', '') || '@gmail.com'
        when {{ mailbox }} <> '' then {{ mailbox }} || '@' || {{ domain }}
        else {{ column }}
    end
{%- endmacro %}

{# Lower-cased mailbox, or NULL when it cannot be one. #}
{% macro clean_email(column) -%}
    case
        when regexp_matches(lower(trim({{ column }})), '^[^@\s<>"(),:;]+@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$')
            and not regexp_matches(lower(trim({{ column }})), '(^\.)|(\.\.)|(\.@)')
            then lower(trim({{ column }}))
    end
{%- endmacro %}

{# A name as typed, or NULL for what people type into a field they do not want to fill. #}
{% macro clean_name(column) -%}
    case when upper(trim({{ column }})) not in ('', 'N/A', 'NA', 'NULL', 'NONE', '-') then trim({{ column }}) end
{%- endmacro %}
