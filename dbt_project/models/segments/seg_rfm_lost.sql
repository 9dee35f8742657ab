{# The RFM segment lost (seed rfm_ranges). #}
{{ rfm_segment('lost') }}
