{# Whose memberships an hourly run works out again: whose profile or journeys differ or were moved by time, and whom a segment that is
   built whole let in, let out or tells of otherwise. #}
-- depends_on: {{ ref('int_segment_matches') }}
select customer_id from {{ ref('int_touched_members') }}
union
select customer_id from {{ ref('int_touched_entries') }}
{%- if execute %}
{%- for model in graph.nodes.values() if model.resource_type == 'model' and model.fqn[1] == 'segments' and model.config.get('tracks') %}
union
select customer_id from {{ touched_relation(api.Relation.create(database=model.database, schema=model.schema, identifier=model.alias)) }}
{%- endfor %}
{%- endif %}
