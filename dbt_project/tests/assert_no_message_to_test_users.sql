{# Neither planned nor handed over in this run: to a test user, or to somebody whose account is deleted. #}
with

leaving as (
    select
        intent_key,
        customer_id
    from {{ ref('int_planned_messages') }}
    union all
    select
        intent_key,
        customer_id
    from {{ ref('int_own_messages') }}
    where run_as_of = {{ as_of() }}
)

select
    leaving.intent_key,
    leaving.customer_id
from leaving
left join {{ ref('dim_customers') }} as customers on leaving.customer_id = customers.customer_id
where customers.customer_id is null or customers.is_test or customers.deleted_at is not null
