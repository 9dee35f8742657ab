{# Lives in a city of the cluster east. #}
{{ city_cluster_segment('east') }}
