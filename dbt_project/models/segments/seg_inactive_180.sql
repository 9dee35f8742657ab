{# Days since the last activity reached the threshold. #}
{{ inactive_segment('inactive_180', var('silence_defected_days')) }}
