{{ config(materialized='incremental', replaced_by='entry_id', replaced_from='stg_crm__changed_entries') }}
with

journey_entries as (
    {{ fit_rows('crm', 'crm_journey_entries', part=only_replaced('entry_id', 'stg_crm__changed_entries')) }}
),

cleaned as (
    select
        entry_id,
        contact_id,
        journey_key,
        {{ utc_from_iso_text('entered_at') }} as entered_at,
        arm,
        coalesce(is_global_holdout, false) as is_global_holdout,
        experiment_id,
        variant
    from journey_entries
    where entry_id is not null
)

select
    entry_id,
    contact_id,
    journey_key,
    entered_at,
    arm,
    is_global_holdout,
    experiment_id,
    variant
from cleaned
where entered_at <= {{ as_of() }}
qualify row_number() over (partition by entry_id order by entered_at, contact_id, journey_key, arm) = 1
