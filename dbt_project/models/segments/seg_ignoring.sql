{# Reachable and written to repeatedly without any sign of attention. #}
{{ attention_segment('ignoring') }}
