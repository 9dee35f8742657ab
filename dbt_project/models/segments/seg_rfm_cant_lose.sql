{# The RFM segment cant_lose (seed rfm_ranges). #}
{{ rfm_segment('cant_lose') }}
