{# One row each; of the customers at hand alone, or an hour holds a million of each in memory. #}
{% set traits = {
    'cities': 'int_customer_cities',
    'languages': 'int_languages',
    'rfm': 'int_rfm',
    'latest': 'int_latest_orders',
    'future': 'int_customer_value',
    'came': 'int_customer_acquisition',
    'spells': 'int_engagement_spells',
    'own_hours': 'int_best_hours',
    'tiers': 'int_volume_tiers',
    'icp': 'int_icp_scores',
} %}
with

customers as (
    select * from {{ ref('int_customers') }} where {{ only_members('customer_id') }}
),

{% for name, model_name in traits.items() %}
{{ name }} as (
    select * from {{ ref(model_name) }} where {{ only_members('customer_id') }}
),
{% endfor %}

common_hours as (
    select * from {{ ref('int_common_hours') }}
),

signs as (
    select customer_id, signs
    from {{ ref('int_hour_cells') }}
    where circle = 'all' and {{ only_members('customer_id') }}
),

-- the address a message would go to: two of equal standing are told apart as reachable_channel does
ranked_addresses as (
    select
        *,
        row_number() over (
            partition by customer_id, address_kind order by preference, given_at desc, address
        ) as place
    from {{ ref('int_addresses') }}
    where {{ only_members('customer_id') }}
),

addresses as (
    select
        customer_id,
        min_by(address, place) filter (where address_kind = 'phone') as phone,
        min_by(address, place) filter (where address_kind = 'email') as email
    from ranked_addresses
    group by customer_id
),

stages as (
    select customer_id, stage
    from {{ ref('int_customer_stages') }}
    where valid_to is null and {{ only_members('customer_id') }}
),

orders as (
    select
        customer_id,
        count(*) as orders,
        count(*) filter (where completed_at is not null and returned_at is null) as completed_orders,
        count(*) filter (where closed_at is null) as open_orders,
        min(completed_at) filter (where returned_at is null) as first_completed_at
    from {{ ref('int_orders') }}
    where customer_id is not null and {{ only_members('customer_id') }}
    group by customer_id
),

payouts as (
    select
        orders.customer_id,
        sum(payouts.amount) as payout_value_365d
    from {{ ref('stg_admin__payouts') }} as payouts
    inner join {{ ref('int_orders') }} as orders on payouts.order_id = orders.order_id
    where
        payouts.paid_at > {{ dbt.dateadd('day', -var('value_window_days'), as_of()) }}
        and {{ only_members('orders.customer_id') }}
    group by orders.customer_id
),

quotes as (
    select
        customer_id,
        max(created_at) as last_quote_at
    from {{ ref('int_quotes') }}
    where customer_id is not null and {{ only_members('customer_id') }}
    group by customer_id
),

affinities as (
    select
        customer_id,
        max(liked) filter (where kind = 'category') as top_category,
        max(liked) filter (where kind = 'brand') as top_brand
    from {{ ref('int_affinities') }}
    where position = 1 and {{ only_members('customer_id') }}
    group by customer_id
),

price_bands as (
    select
        customer_id,
        cast(cast(round(price_from) as bigint) as varchar) || '-' || cast(cast(round(price_to) as bigint) as varchar) as price_band
    from {{ ref('int_price_bands') }}
    where {{ only_members('customer_id') }}
),

channel_moments as (
    select
        customers.customer_id || '|' || channels.channel as moment_key,
        customers.customer_id,
        {{ as_of() }} as at,
        'promotional' as purpose,
        channels.channel as channel_order
    from customers
    cross join {{ ref('channels') }} as channels
),

reach as (
    select
        customer_id,
        split_part(moment_key, '|', 2) as channel,
        unreachable_reason is null as is_reachable
    from ({{ reachable_channel('channel_moments') }}) as reached
),

reachable as (
    select
        customer_id,
        {% for channel in ['whatsapp', 'sms', 'email', 'push'] %}
        bool_or(is_reachable) filter (where channel = '{{ channel }}') as reachable_{{ channel }},
        {% endfor %}
        bool_or(is_reachable) as is_reachable
    from reach
    group by customer_id
),

consent as (
    select
        {% for channel in ['whatsapp', 'sms', 'email', 'push'] %}
        max(status) filter (where channel = '{{ channel }}' and purpose = 'promotional') as consent_{{ channel }}_promotional,
        max(status) filter (where channel = '{{ channel }}' and purpose = 'service') as consent_{{ channel }}_service,
        {% endfor %}
        customer_id
    from {{ ref('int_consent_intervals') }}
    where valid_to is null and {{ only_members('customer_id') }}
    group by customer_id
),

assembled as (
    select
        customers.customer_id,
        customers.display_name,
        addresses.phone,
        addresses.email,
        cities.city,
        cities.city_cluster,
        cities.zone_priority,
        languages.language,
        customers.first_seen_at,
        customers.first_known_at,
        customers.account_at,
        customers.is_test,
        customers.deleted_at,
        stages.stage as lifecycle_stage,
        coalesce(orders.orders, 0) as orders,
        coalesce(orders.completed_orders, 0) as completed_orders,
        coalesce(orders.open_orders, 0) as open_orders,
        orders.first_completed_at,
        coalesce(payouts.payout_value_365d, 0) as payout_value_365d,
        customers.last_activity_at,
        quotes.last_quote_at,
        -- an order answers the checkouts before it
        case
            when coalesce(latest.placed_at < customers.last_checkout_at, true) then customers.last_checkout_at
        end as last_open_checkout_at,
        coalesce(own_hours.best_hour, city_hours.best_hour, all_hours.best_hour, '{{ var("best_hour_default") }}') as best_hour,
        case
            when own_hours.best_hour is not null then 'customer'
            else coalesce(city_hours.kind, all_hours.kind, 'default')
        end as best_hour_basis,
        coalesce(signs.signs, 0) as best_hour_evidence,
        affinities.top_category,
        affinities.top_brand,
        price_bands.price_band,
        rfm.rfm_segment,
        tiers.volume_tier,
        coalesce(icp.icp_score, 0) as icp_score,
        icp.icp_fit_since is not null as is_icp_fit,
        future.probability_alive,
        future.expected_orders,
        future.expected_value,
        came.first_channel_group,
        came.first_source,
        came.first_campaign,
        came.last_channel_group,
        {{ hours_between('customers.last_activity_at', as_of()) }} / 24 as days_silent,
        coalesce(spells.delivered_in_window, 0) as delivered_in_window,
        spells.last_engaged_at,
        coalesce(reachable.is_reachable, false) as is_reachable,
        {% for channel in ['whatsapp', 'sms', 'email', 'push'] %}
        coalesce(reachable.reachable_{{ channel }}, false) as reachable_{{ channel }},
        coalesce(consent.consent_{{ channel }}_promotional, 'never_asked') as consent_{{ channel }}_promotional,
        coalesce(consent.consent_{{ channel }}_service, 'never_asked') as consent_{{ channel }}_service
        {%- if not loop.last %},{% endif %}
        {% endfor %}
    from customers
    left join addresses on customers.customer_id = addresses.customer_id
    left join stages on customers.customer_id = stages.customer_id
    left join orders on customers.customer_id = orders.customer_id
    left join payouts on customers.customer_id = payouts.customer_id
    left join quotes on customers.customer_id = quotes.customer_id
    left join latest on customers.customer_id = latest.customer_id
    left join languages on customers.customer_id = languages.customer_id
    left join affinities on customers.customer_id = affinities.customer_id
    left join price_bands on customers.customer_id = price_bands.customer_id
    left join rfm on customers.customer_id = rfm.customer_id
    left join future on customers.customer_id = future.customer_id
    left join came on customers.customer_id = came.customer_id
    left join spells on customers.customer_id = spells.customer_id
    left join reachable on customers.customer_id = reachable.customer_id
    left join consent on customers.customer_id = consent.customer_id
    left join cities on customers.customer_id = cities.customer_id
    left join signs on customers.customer_id = signs.customer_id
    left join own_hours on customers.customer_id = own_hours.customer_id
    left join common_hours as city_hours on city_hours.kind = 'city' and cities.city = city_hours.whose
    left join common_hours as all_hours on all_hours.kind = 'everyone'
    left join tiers on customers.customer_id = tiers.customer_id
    left join icp on customers.customer_id = icp.customer_id
)

select
    customer_id,
    display_name,
    phone,
    email,
    city,
    city_cluster,
    zone_priority,
    language,
    first_seen_at,
    first_known_at,
    account_at,
    is_test,
    deleted_at,
    lifecycle_stage,
    case
        when lifecycle_stage = 'lead' then 'approach'
        when lifecycle_stage = 'price_view' then 'engagement'
        when lifecycle_stage in ('order', 'pickup') then 'conversion'
        when lifecycle_stage in ('completion', 'feedback', 'cancelled', 'inactive') then 'retention'
        when lifecycle_stage = 'repeat' then 'loyalty'
    end as macro_stage,
    case
        when completed_orders < 1 then null
        when days_silent >= {{ var('silence_defected_days') }} then 'defected'
        when days_silent >= {{ var('silence_inactive_days') }} then 'inactive_90'
        when days_silent >= {{ var('silence_at_risk_days') }} then 'at_risk'
        when days_silent >= {{ var('cooling_after_days') }} then 'cooling'
        else 'active'
    end as silence,
    case
        when not is_reachable then 'unreachable'
        when last_engaged_at > {{ dbt.dateadd('day', -var('listening_window_days'), as_of()) }} then 'listening'
        when delivered_in_window >= {{ var('ignoring_min_delivered') }} then 'ignoring'
    end as attention,
    case
        when completed_orders >= 1 and days_silent >= {{ var('silence_defected_days') }} then 'defected'
        when completed_orders >= 1 and days_silent >= {{ var('silence_at_risk_days') }} then 'at_risk'
        when completed_orders >= 1 then 'using'
        when
            lifecycle_stage = 'price_view'
            and last_quote_at > {{ dbt.dateadd('day', -var('considering_window_days'), as_of()) }}
            then 'considering'
        when last_open_checkout_at > {{ dbt.dateadd('day', -var('considering_window_days'), as_of()) }} then 'considering'
        else 'aware'
    end as relation,
    cast(orders as bigint) as orders,
    cast(completed_orders as bigint) as completed_orders,
    cast(open_orders as bigint) as open_orders,
    first_completed_at,
    coalesce(
        first_completed_at <= {{ dbt.dateadd('day', var('activation_window_days'), 'first_seen_at') }}, false
    ) as is_activated,
    payout_value_365d,
    last_activity_at,
    last_quote_at,
    last_open_checkout_at,
    best_hour,
    best_hour_basis,
    best_hour_evidence,
    top_category,
    top_brand,
    price_band,
    rfm_segment,
    volume_tier,
    icp_score,
    is_icp_fit,
    probability_alive,
    expected_orders,
    expected_value,
    first_channel_group,
    first_source,
    first_campaign,
    last_channel_group,
    {% for channel in ['whatsapp', 'sms', 'email', 'push'] %}
    reachable_{{ channel }},
    consent_{{ channel }}_promotional,
    consent_{{ channel }}_service{% if not loop.last %},{% endif %}
    {% endfor %}
from assembled
