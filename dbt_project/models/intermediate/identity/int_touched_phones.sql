{# Spellings of phones in rows that differ from what the last complete build saw. #}
{% set sources = {
    'stg_admin__users': 'phone_raw',
    'stg_admin__quotes': 'phone_raw',
    'stg_admin__orders': 'contact_phone_raw',
    'stg_crm__contacts': 'phone_raw',
} %}
{% for source, column in sources.items() %}
select {{ column }} as phone_raw
from ({{ touched_rows(source, column) }}) as touched
where {{ column }} is not null
{% if not loop.last %}
union
{% endif %}
{% endfor %}
