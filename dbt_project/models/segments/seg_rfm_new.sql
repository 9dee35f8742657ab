{# The RFM segment new (seed rfm_ranges). #}
{{ rfm_segment('new') }}
