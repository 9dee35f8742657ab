{# Their devices speak another language than the tenant's messages do by default. #}
select
    'vernacular' as segment_key,
    customer_id,
    since as entered_at,
    cast(to_json(struct_pack(language := language)) as varchar) as context
from {{ ref('int_languages') }}
where language <> '{{ var("default_language") }}' and {{ only_members('customer_id') }}
