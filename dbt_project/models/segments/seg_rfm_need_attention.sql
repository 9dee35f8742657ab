{# The RFM segment need_attention (seed rfm_ranges). #}
{{ rfm_segment('need_attention') }}
