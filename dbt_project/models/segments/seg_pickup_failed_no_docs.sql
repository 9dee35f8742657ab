{# The latest pickup failed because the documents were missing. #}
{{ pickup_failed_segment('pickup_failed_no_docs', "pickups.failure_reason = 'no_docs'") }}
