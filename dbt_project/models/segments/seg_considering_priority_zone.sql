{# A micro segment: about to sell, and where we pick up first. #}
{{ intersection_segment('considering_priority_zone', ['considering', 'zone_high_priority']) }}
