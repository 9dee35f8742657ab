{# Lives in a city of the cluster west. #}
{{ city_cluster_segment('west') }}
