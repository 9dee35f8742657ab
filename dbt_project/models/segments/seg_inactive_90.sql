{# Days since the last activity reached the threshold. #}
{{ inactive_segment('inactive_90', var('silence_inactive_days')) }}
