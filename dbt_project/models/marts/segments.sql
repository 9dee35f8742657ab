{# Every segment with its size, and whether it can have members at all: one that rests on a source without rows is dormant. #}
{% set sources = {
    'orders': "select 1 from " ~ ref('stg_admin__orders'),
    'pickups': "select 1 from " ~ ref('stg_admin__pickups'),
    'payouts': "select 1 from " ~ ref('stg_admin__payouts'),
    'feedback': "select 1 from " ~ ref('stg_admin__feedback'),
    'contacts': "select 1 from " ~ ref('stg_crm__contacts'),
    'messages': "select 1 from " ~ ref('int_messages_before'),
    'visits': "select 1 from " ~ ref('stg_ga4__events'),
    'app_visits': "select 1 from " ~ ref('stg_ga4__events') ~ " where platform in ('ANDROID', 'IOS')",
    'languages': "select 1 from " ~ ref('stg_ga4__events') ~ " where device_language is not null",
} %}

with

sources as (
    {% for source, rows in sources.items() %}
    select '{{ source }}' as source, exists({{ rows }}) as has_rows
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

missing as (
    select
        needs.segment_key,
        string_agg(needs.reason, '; ' order by needs.needs) as reason
    from {{ ref('segment_needs') }} as needs
    inner join sources on needs.needs = sources.source
    where not sources.has_rows
    group by needs.segment_key
),

sizes as (
    select segment_key, count(*) as size
    from {{ ref('int_segment_members') }}
    group by segment_key
),

judged as (
    select
        catalogue.*,
        case
            when {{ has_expired('catalogue.expires_on') }}
                then 'Expired: its last day was ' || strftime(catalogue.expires_on, '%d %b %Y')
            else missing.reason
        end as dormant_reason
    from {{ ref('segment_catalogue') }} as catalogue
    left join missing on catalogue.segment_key = missing.segment_key
)

select
    judged.segment_key as key,
    judged.name,
    judged.description,
    judged.owner,
    cast(coalesce(sizes.size, 0) as bigint) as size,
    case when judged.dormant_reason is null then 'live' else 'dormant' end as status,
    judged.dormant_reason,
    judged.expires_on,
    {{ as_of() }} as as_of
from judged
left join sizes on judged.segment_key = sizes.segment_key
