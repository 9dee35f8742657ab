{# Whose entries into journeys, with arms, reach and steps, an hourly run works out again: whose facts, addresses, consent or intents
   differ from what the last complete build saw, who shares an address with somebody who opted out, or no longer does, and for
   whom an entry or a step begins or ends because time passed. Too many is harmless. #}
{% set is_hour = execute and not flags.FULL_REFRESH and held_relation('int_journey_windows') is not none %}
{#- for the lineage -#}{% do ref('journey_step_catalogue') %}
with

redirects as (
    {{ former_customers() }}
),

addresses as (
    select address
    from ({{ touched_rows('int_shared_opt_outs', 'address') }}) as touched
    union
    select unit
    from ({{ changed_units(['ledger_suppressions']) }}) as changes
),

-- what the last run decided was not yet recorded before it
recorded as (
    select intent_key
    from {{ ref('stg_ledger__intents') }}
    where {{ came_of_age('run_as_of') }}
    union
    select unit
    from ({{ changed_units(['ledger_intents']) }}) as changes
),
{% if is_hour %}
-- entries to come are among them
entries as (
    {%- for journey in graph.nodes.values() if journey.resource_type == 'model' and journey.schema == 'journeys' %}
    select
        journey_key,
        customer_id,
        eligible_from,
        eligible_to,
        exit_at
    from {{ held_relation(journey.name, journey.schema) }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

-- between which moments an entry began of which a step has come due since
steps as (
    select
        steps.journey_key,
        {{ dbt.dateadd('minute', '-steps.delay_minutes', 'last_build.as_of') }} as from_at,
        {{ dbt.dateadd('minute', '-steps.delay_minutes', as_of()) }} as to_at
    from {{ ref('journey_step_catalogue') }} as steps
    cross join {{ last_build() }} as last_build
),

moved as (
    select customer_id
    from entries
    where {{ came_of_age(['eligible_from', 'eligible_to', 'exit_at']) }}
    union
    select entries.customer_id
    from entries
    inner join steps
        on entries.journey_key = steps.journey_key and entries.eligible_from between steps.from_at and steps.to_at
    union
    select customer_id
    from {{ held_relation('int_step_candidates', 'decisions') }}
    where {{ came_of_age('latest_useful_at') }}
    union
    -- whose step it was
    select candidates.customer_id
    from {{ held_relation('int_step_candidates', 'decisions') }} as candidates
    inner join recorded on candidates.intent_key = recorded.intent_key
    where candidates.ledger_outcome is not null
),
{% endif %}
customers as (
    select customer_id
    from {{ ref('int_touched_customers') }}
    {%- for model in ['int_customers', 'int_addresses', 'int_consent_intervals'] %}
    union
    select customer_id
    from ({{ touched_rows(model, 'customer_id') }}) as touched
    {%- endfor %}
    union
    select given.customer_id
    from {{ ref('int_addresses') }} as given
    inner join addresses on given.address = addresses.address
    union
    select coalesce(redirects.customer_id, intents.customer_id)
    from {{ ref('stg_ledger__intents') }} as intents
    inner join recorded on intents.intent_key = recorded.intent_key
    left join redirects on intents.customer_id = redirects.former_id
    {%- if is_hour %}
    union
    select customer_id from moved
    {%- endif %}
)

select customer_id
from customers
where customer_id is not null
