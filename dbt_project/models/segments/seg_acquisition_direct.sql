{# First came from nowhere we know of: typed, bookmarked or opened the app. #}
{{ acquisition_segment('direct') }}
