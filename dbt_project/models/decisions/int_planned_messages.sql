{# What the planned messages say: the words a template may use, all text, '' where a fact is missing. #}
with

planned as (
    select * from {{ ref('int_decisions') }} where outcome = 'planned'
),

customers as (
    select customer_id, display_name from {{ ref('int_customers') }}
),

cities as (
    select * from {{ ref('city_clusters') }}
),

-- the opt-in the decision stands on: an opt-out in the ledger that is older does not block the send
consents as (
    select
        customer_id,
        channel,
        purpose,
        valid_from as consent_at
    from {{ ref('int_consent_intervals') }}
    where valid_to is null and status = 'opt_in'
),

worded as (
    select
        planned.*,
        consents.consent_at,
        coalesce(nullif(split_part(customers.display_name, ' ', 1), ''), '') as first_name,
        coalesce(cities.city, planned.city_raw, '') as city,
        {{ local_from_utc('planned.slot_start_at') }} as local_slot_start,
        {{ local_from_utc('planned.slot_end_at') }} as local_slot_end,
        '{{ var("shop_base_url") }}' || case planned.journey_key
            when 'abandoned_price_view' then '/sell/resume/' || planned.entry_key
            when 'pickup_reminder' then '/orders/' || coalesce(planned.order_id, '') || '/pickup'
            else '/sell'
        end as landing
    from planned
    left join customers on planned.customer_id = customers.customer_id
    left join cities on lower(planned.city_raw) = cities.spelling
    left join consents
        on planned.customer_id = consents.customer_id
        and planned.channel = consents.channel
        and case planned.purpose when 'promotional' then 'promotional' else 'service' end = consents.purpose
)

select
    intent_key,
    journey_key,
    entry_key,
    step_key,
    customer_id,
    arm,
    variant,
    channel,
    address,
    purpose,
    template_id,
    language,
    priority,
    due_at,
    latest_useful_at,
    consent_at,
    cast(to_json(struct_pack(
        brand_name := '{{ var("brand_name") }}',
        first_name := first_name,
        category := coalesce(category, ''),
        brand := coalesce(brand, ''),
        model := coalesce(model, ''),
        quote_value := {{ inr('value') }},
        city := city,
        order_id := coalesce(order_id, ''),
        slot_date := coalesce(strftime(local_slot_start, '%A %-d %B'), ''),
        slot_window := coalesce(strftime(local_slot_start, '%-I %p') || ' – ' || strftime(local_slot_end, '%-I %p'), ''),
        address_line := city,
        offer_code := case step_key when 'winback_2' then 'BACK500' else '' end,
        link_url := landing || '?utm_source=crm&utm_medium=' || channel || '&utm_campaign=' || journey_key,
        resume_url := landing || '?utm_source=crm&utm_medium=' || channel || '&utm_campaign=' || journey_key,
        reschedule_url := landing || '?utm_source=crm&utm_medium=' || channel || '&utm_campaign=' || journey_key
    )) as varchar) as variables
from worded
