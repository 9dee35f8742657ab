{# Told us who they are in a lead form before they did it any other way. Which channel brought them to the form is another
   segment of the family. #}
with

-- one kind at a time: asked for one of two, DuckDB would read everybody's
introductions as (
    {% for activity in ['signed_up', 'lead_created'] %}
    select
        customer_id,
        activity,
        occurred_at,
        detail,
        entity_id
    from {{ ref('int_segment_activities') }}
    where activity = '{{ activity }}' and {{ only_members('customer_id') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

first_introductions as (
    select *
    from introductions
    -- the account of the same moment was made by the form
    qualify row_number() over (partition by customer_id order by occurred_at, activity, entity_id) = 1
)

select
    'acquisition_lead_form' as segment_key,
    customer_id,
    occurred_at as entered_at,
    cast(to_json(struct_pack(form := detail, contact_id := entity_id)) as varchar) as context
from first_introductions
where activity = 'lead_created' and detail in ('{{ var("lead_form_sources") | join("', '") }}')
