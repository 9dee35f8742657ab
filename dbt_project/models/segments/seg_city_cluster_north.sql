{# Lives in a city of the cluster north. #}
{{ city_cluster_segment('north') }}
