{# Their cycle ends within the coming days: time to offer a price for what they own. #}
{{ cycle_segment('renewal_due', var('renewal_lead_days'), 0) }}
