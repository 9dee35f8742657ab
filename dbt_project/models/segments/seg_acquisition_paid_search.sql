{# First came from an advertisement of a search engine. #}
{{ acquisition_segment('paid_search') }}
