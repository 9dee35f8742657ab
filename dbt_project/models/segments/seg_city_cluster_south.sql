{# Lives in a city of the cluster south. #}
{{ city_cluster_segment('south') }}
