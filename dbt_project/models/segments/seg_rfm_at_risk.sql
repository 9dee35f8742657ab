{# The RFM segment at_risk (seed rfm_ranges). #}
{{ rfm_segment('at_risk') }}
