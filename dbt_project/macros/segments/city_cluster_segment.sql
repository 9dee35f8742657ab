{# The segment of customers who live in a city of a cluster (seed city_clusters). #}
{% macro city_cluster_segment(city_cluster) %}
    select
        'city_cluster_{{ city_cluster }}' as segment_key,
        customer_id,
        since as entered_at,
        cast(to_json(struct_pack(city := city)) as varchar) as context
    from {{ ref('int_customer_cities') }}
    where city_cluster = '{{ city_cluster }}' and {{ only_members('customer_id') }}
{% endmacro %}
