{# The RFM segment promising (seed rfm_ranges). #}
{{ rfm_segment('promising') }}
