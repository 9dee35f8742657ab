{{ config(
    materialized='incremental',
    replaced_by='payout_id',
    replaced_units='admin_payouts',
    unit_type='bigint',
    later_by=['paid_at'],
    tracks=['order_id']
) }}
with

payouts as (
    {{ fit_rows('admin', 'admin_payouts', part=only_changed()) }}
),

cleaned as (
    select
        payout_id,
        order_id,
        cast(amount as double) as amount,
        kind,
        mode,
        {{ utc_from_local_text('paid_at') }} as paid_at
    from payouts
    where payout_id is not null
)

select
    payout_id,
    order_id,
    amount,
    kind,
    mode,
    paid_at
from cleaned
where paid_at <= {{ as_of() }}
qualify row_number() over (partition by payout_id order by paid_at) = 1
