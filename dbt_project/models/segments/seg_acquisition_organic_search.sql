{# First came from an unpaid result of a search engine. #}
{{ acquisition_segment('organic_search') }}
