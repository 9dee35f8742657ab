{# The next sale of a category would be due about now, by their own rhythm or the category's. #}
select
    'category_repeat_due' as segment_key,
    customer_id,
    {{ dbt.dateadd('day', -var('repeat_due_days'), 'due_at') }} as entered_at,
    cast(to_json(struct_pack(
        category := category, brand := last_brand, due_at := due_at, cycle_days := cycle_days, is_own_rhythm := is_own_rhythm
    )) as varchar) as context
from {{ ref('int_repeat_cycles') }}
where
    {{ dbt.dateadd('day', -var('repeat_due_days'), 'due_at') }} <= {{ as_of() }}
    and {{ dbt.dateadd('day', var('repeat_due_days'), 'due_at') }} > {{ as_of() }}
qualify row_number() over (partition by customer_id order by due_at, category) = 1
