{# The next sale of a category would be due about now, by their own rhythm or the category's. #}
{{ cycle_segment('category_repeat_due', var('repeat_due_days'), var('repeat_due_days')) }}
