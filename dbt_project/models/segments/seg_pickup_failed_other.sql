{# The latest pickup failed for a reason that has no segment of its own, or for none that was recorded. #}
{{ pickup_failed_segment('pickup_failed_other', "coalesce(pickups.failure_reason, '') not in ('no_docs', 'no_answer')") }}
