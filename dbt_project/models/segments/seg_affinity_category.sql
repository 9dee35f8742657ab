{# Showed a liking for categories: the top three. #}
{{ affinity_segment('category') }}
