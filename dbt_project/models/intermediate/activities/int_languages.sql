{# The language each customer's devices speak: that of the latest session, and since when it has been that one. #}
with

session_languages as (
    select
        session_key,
        max_by(lower(split_part(device_language, '-', 1)), occurred_at) as language
    from {{ ref('stg_ga4__events') }}
    where session_key is not null and device_language is not null
    group by session_key
),

spoken as (
    select
        sessions.customer_id,
        sessions.started_at as happened_at,
        session_languages.language
    from {{ ref('int_ga4_sessions') }} as sessions
    inner join session_languages on sessions.session_key = session_languages.session_key
    where sessions.customer_id is not null
),

runs as (
    {{ latest_run('spoken', 'language') }}
)

select
    customer_id,
    language,
    since
from runs
