{# Days since the last activity reached the threshold. #}
{{ inactive_segment('inactive_60', var('inactive_after_days')) }}
