{# The first reachable channel for people at moments, as §1 of the catalogue defines reachable.

   `moments` is a relation with (moment_key, customer_id, at, purpose, channel_order). Returns one row a moment_key:
   customer_id, channel, address, sender_channel, sender_address, unreachable_reason (test_user, deleted, unknown, no_address, no_consent: first that applies). #}
{% macro reachable_channel(moments) %}
    with

    options as (
        select
            moments.moment_key,
            moments.customer_id,
            moments.at,
            moments.purpose,
            case moments.purpose when 'promotional' then 'promotional' else 'service' end as consent_purpose,
            positions.channel,
            positions.position,
            channels.address_kind,
            channels.has_sender
        from {{ moments }} as moments
        cross join lateral (
            select
                unnest(string_split(moments.channel_order, '>')) as channel,
                unnest(range(1, len(string_split(moments.channel_order, '>')) + 1)) as position
        ) as positions
        inner join {{ ref('channels') }} as channels on positions.channel = channels.channel
    ),

    -- of the people at hand alone: their moments are few in an hour, and the planner does not know it
    given as (
        select *
        from {{ ref('int_addresses') }}
        where customer_id in (select customer_id from {{ moments }})
    ),

    said as (
        select *
        from {{ ref('int_consent_intervals') }}
        where customer_id in (select customer_id from {{ moments }})
    ),

    with_address as (
        select
            options.*,
            addresses.address
        from options
        left join given as addresses
            on options.customer_id = addresses.customer_id
            and options.address_kind = addresses.address_kind
            and addresses.given_at <= options.at
        qualify row_number() over (
            partition by options.moment_key, options.position
            order by addresses.preference nulls last, addresses.given_at desc, addresses.address
        ) = 1
    ),

    others_opt_out as (
        -- on a shared address one person's opt-out binds everybody
        select
            with_address.moment_key,
            with_address.position
        from with_address
        inner join {{ ref('int_shared_opt_outs') }} as others
            on with_address.address = others.address
            and with_address.channel = others.channel
            and with_address.consent_purpose = others.purpose
            and with_address.customer_id <> others.customer_id
            and others.given_at <= with_address.at
            and others.valid_from <= with_address.at
            and coalesce(others.valid_to, {{ far_future() }}) > with_address.at
        group by with_address.moment_key, with_address.position
    ),

    suppressed as (
        select
            with_address.moment_key,
            with_address.position
        from with_address
        inner join {{ ref('stg_ledger__suppressions') }} as suppressions
            on with_address.address = suppressions.address
            and with_address.channel = suppressions.channel
            and (suppressions.scope = 'all' or suppressions.scope = with_address.purpose)
            and suppressions.since <= with_address.at
            and coalesce(suppressions.until, {{ far_future() }}) > with_address.at
        group by with_address.moment_key, with_address.position
    ),

    judged as (
        select
            with_address.moment_key,
            with_address.channel,
            with_address.position,
            with_address.address,
            with_address.has_sender,
            with_address.address is not null as has_address,
            case
                when others_opt_out.moment_key is not null then false
                when suppressed.moment_key is not null then false
                when with_address.purpose = 'promotional' then coalesce(consent.status = 'opt_in', false)
                else coalesce(consent.status <> 'opt_out', true)
            end as may_be_written_to
        from with_address
        left join said as consent
            on with_address.customer_id = consent.customer_id
            and with_address.channel = consent.channel
            and with_address.consent_purpose = consent.purpose
            and consent.valid_from <= with_address.at
            and coalesce(consent.valid_to, {{ far_future() }}) > with_address.at
        left join others_opt_out
            on with_address.moment_key = others_opt_out.moment_key and with_address.position = others_opt_out.position
        left join suppressed
            on with_address.moment_key = suppressed.moment_key and with_address.position = suppressed.position
    ),

    summed as (
        select
            moment_key,
            min_by(channel, position) filter (where has_address and may_be_written_to) as channel,
            min_by(address, position) filter (where has_address and may_be_written_to) as address,
            min_by(channel, position) filter (where has_address and may_be_written_to and has_sender) as sender_channel,
            min_by(address, position) filter (where has_address and may_be_written_to and has_sender) as sender_address,
            bool_or(has_address) as has_address,
            bool_or(has_address and may_be_written_to) as has_channel
        from judged
        group by moment_key
    )

    select
        moments.moment_key,
        moments.customer_id,
        case
            when customers.is_test then 'test_user'
            when customers.deleted_at <= moments.at then 'deleted'
            when customers.first_known_at is null or customers.first_known_at > moments.at then 'unknown'
            when not summed.has_address then 'no_address'
            when not summed.has_channel then 'no_consent'
        end as unreachable_reason,
        not customers.is_test
        and coalesce(customers.deleted_at, {{ far_future() }}) > moments.at
        and coalesce(customers.first_known_at <= moments.at, false) as is_sendable,
        case when is_sendable then summed.channel end as channel,
        case when is_sendable then summed.address end as address,
        -- where the message would really go: the first reachable channel that has a sender
        case when is_sendable then summed.sender_channel end as sender_channel,
        case when is_sendable then summed.sender_address end as sender_address
    from {{ moments }} as moments
    inner join {{ ref('int_customers') }} as customers on moments.customer_id = customers.customer_id
    inner join summed on moments.moment_key = summed.moment_key
{% endmacro %}
