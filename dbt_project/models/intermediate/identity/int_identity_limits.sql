{{ config(materialized='view') }}

select
    {{ var('merge_alarm_customers') }} as alarm_merges,
    cast({{ var('merge_alarm_share') }} as double) as alarm_share,
    {{ var('accept_merges') }} as accept_merges
