{{ config(materialized='view') }}

select phone_raw from {{ ref('stg_admin__users') }} where phone_raw is not null
union all
select phone_raw from {{ ref('stg_admin__quotes') }} where phone_raw is not null
union all
select contact_phone_raw as phone_raw from {{ ref('stg_admin__orders') }} where contact_phone_raw is not null
union all
select phone_raw from {{ ref('stg_crm__contacts') }} where phone_raw is not null
