{# The latest pickup failed because nobody answered. #}
{{ pickup_failed_segment('pickup_failed_no_answer', "pickups.failure_reason = 'no_answer'") }}
