{# The RFM segment hibernating (seed rfm_ranges). #}
{{ rfm_segment('hibernating') }}
