{# The RFM segment loyal (seed rfm_ranges). #}
{{ rfm_segment('loyal') }}
