{# The RFM segment champions (seed rfm_ranges). #}
{{ rfm_segment('champions') }}
