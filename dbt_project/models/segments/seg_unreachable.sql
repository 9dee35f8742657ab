{# No channel may carry a promotional message to them. #}
{{ attention_segment('unreachable') }}
