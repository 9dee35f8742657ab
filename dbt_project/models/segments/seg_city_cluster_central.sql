{# Lives in a city of the cluster central. #}
{{ city_cluster_segment('central') }}
