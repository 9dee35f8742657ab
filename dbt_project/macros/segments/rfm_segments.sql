{# Recency, frequency and monetary scores from 1 to 5 (5 is best) and the named segment they fall into.

   `customers` is a relation with (customer_id, recency_days, frequency, monetary); `ranges` has the columns of the seed
   rfm_ranges, the first range that fits by position wins, and who fits none is in no segment. `cut` is how scores are cut:
   'rank' makes five groups of equal size, ties by customer_id; 'quantile' cuts one above the 20th, 40th, 60th and 80th
   percentile, as the R package rfm does, so that equal values score alike. #}
{% macro rfm_segments(customers, ranges, cut='rank') %}
    {%- if cut not in ('rank', 'quantile') -%}
        {{ exceptions.raise_compiler_error("rfm_segments: cut is 'rank' or 'quantile', not '" ~ cut ~ "'") }}
    {%- endif %}
    with

    {%- if cut == 'quantile' %}

    cuts as (
        select
            list_transform(quantile_cont(recency_days, [0.2, 0.4, 0.6, 0.8]), lambda point: point + 1) as recency_cuts,
            list_transform(quantile_cont(frequency, [0.2, 0.4, 0.6, 0.8]), lambda point: point + 1) as frequency_cuts,
            list_transform(quantile_cont(monetary, [0.2, 0.4, 0.6, 0.8]), lambda point: point + 1) as monetary_cuts
        from {{ customers }}
    ),

    scores as (
        select
            customers.*,
            5 - len(list_filter(cuts.recency_cuts, lambda point: point <= customers.recency_days)) as recency_score,
            1 + len(list_filter(cuts.frequency_cuts, lambda point: point <= customers.frequency)) as frequency_score,
            1 + len(list_filter(cuts.monetary_cuts, lambda point: point <= customers.monetary)) as monetary_score
        from {{ customers }} as customers
        cross join cuts
    )
    {%- else %}

    scores as (
        select
            *,
            ntile(5) over (order by recency_days desc, customer_id) as recency_score,
            ntile(5) over (order by frequency, customer_id) as frequency_score,
            ntile(5) over (order by monetary, customer_id) as monetary_score
        from {{ customers }}
    )
    {%- endif %}

    select
        scores.*,
        ranges.rfm_segment
    from scores
    left join {{ ranges }} as ranges
        on scores.recency_score between ranges.recency_from and ranges.recency_to
        and scores.frequency_score between ranges.frequency_from and ranges.frequency_to
        and scores.monetary_score between ranges.monetary_from and ranges.monetary_to
    qualify row_number() over (partition by scores.customer_id order by ranges.position) = 1
{% endmacro %}
