{# A customer of too many accounts or identifiers is hardly one person. They get nothing promotional meanwhile. #}
{{ config(severity='warn') }}

select customer_id from {{ ref('int_customers') }} where is_oversized
