{# Reachable, and opened, read, clicked, replied or visited not long ago. #}
{{ attention_segment('listening') }}
