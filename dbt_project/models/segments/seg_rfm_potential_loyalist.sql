{# The RFM segment potential_loyalist (seed rfm_ranges). #}
{{ rfm_segment('potential_loyalist') }}
