{# The RFM segment about_to_sleep (seed rfm_ranges). #}
{{ rfm_segment('about_to_sleep') }}
