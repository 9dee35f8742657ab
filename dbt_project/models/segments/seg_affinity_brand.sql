{# Showed a liking for brands: the top three. #}
{{ affinity_segment('brand') }}
