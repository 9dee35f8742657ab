{# A micro segment: who is in all of the segments. They entered with the last of them; the contexts are put together. #}
{% macro intersection_segment(segment_key, segments) %}
    select
        '{{ segment_key }}' as segment_key,
        {{ segments[0] }}.customer_id,
        greatest({{ segments | join('.entered_at, ') }}.entered_at) as entered_at,
        cast(json_merge_patch({{ segments | join('.context, ') }}.context) as varchar) as context
    from {{ ref('seg_' ~ segments[0]) }} as {{ segments[0] }}
    {%- for segment in segments[1:] %}
    inner join {{ ref('seg_' ~ segment) }} as {{ segment }} on {{ segments[0] }}.customer_id = {{ segment }}.customer_id
    {%- endfor %}
    where {{ only_members(segments[0] ~ '.customer_id') }}
{% endmacro %}
