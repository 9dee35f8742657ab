"""Laying out a new segment: every file and list it touches, ready to edit, nothing else changed.

What comes out builds and passes its own unit test at once; the rule in it (recently active people) is there to be
replaced.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from orchestration.lib.dbt import PROJECT

KEY = re.compile(r"[a-z][a-z0-9_]{2,39}")
OWNERS = ("data", "growth", "operations", "retention")

MODEL = """\
{{# {description}. #}}
select
    '{key}' as segment_key,
    customer_id,
    -- the moment they began to fulfil the rule, from facts: never the run's moment
    last_activity_at as entered_at,
    cast(to_json(struct_pack(last_activity_at := last_activity_at)) as varchar) as context
from {{{{ ref('int_customers') }}}}
where last_activity_at > {{{{ dbt.dateadd('day', -30, as_of()) }}}}
"""
PROPERTIES = """
  - name: seg_{key}
    description: 'One row a customer of the segment: {description}.'
    config:
      contract: {{enforced: true}}
      meta: {{owner: {owner}}}
    columns:
      - name: segment_key
        data_type: varchar
        constraints: [{{type: not_null}}]
        description: Key of the segment (seed segment_catalogue).
      - name: customer_id
        data_type: varchar
        constraints: [{{type: not_null}}]
        description: The person after identity resolution; stable over time.
      - name: entered_at
        data_type: timestamp
        constraints: [{{type: not_null}}]
        description: When they began to fulfil the rule, UTC.
      - name: context
        data_type: varchar
        description: 'JSON: last_activity_at.'
"""
UNIT_TEST = """
  - name: seg_{key}_takes_who_fulfils_the_rule
    description: The edge of the window is out, a second inside it is in.
    model: seg_{key}
    overrides: {{vars: {{as_of: "2026-10-31 12:00:00"}}}}
    given:
      - input: ref('int_customers')
        rows:
          - {{customer_id: inside, last_activity_at: "2026-10-01 12:00:01"}}
          - {{customer_id: at_the_edge, last_activity_at: "2026-10-01 12:00:00"}}
          - {{customer_id: never_active, last_activity_at: null}}
    expect:
      rows:
        - {{segment_key: {key}, customer_id: inside, entered_at: "2026-10-01 12:00:01"}}
"""


class ScaffoldError(Exception):
    """The segment cannot be laid out: its name is no good, or it is there already. Nothing was written."""


def lay_out_segment(
    key: str, *, owner: str, description: str, project: Path = PROJECT
) -> list[Path]:
    """Write a new segment's model, description, unit test, and its lines in the list and the catalogue.

    Args:
        key: Name of the segment: lower case, digits and underscores.
        owner: Team that answers for it, one of OWNERS.
        description: What it is, one sentence without a full stop.
        project: The dbt project.

    Returns:
        The files written, the one to edit first.

    Raises:
        ScaffoldError: The key is malformed or taken, or the owner unknown.
    """
    if not KEY.fullmatch(key):
        raise ScaffoldError(
            f"{key!r} is no segment key: lower case letters, digits and underscores, 3 to 40 of them"
        )
    if owner not in OWNERS:
        raise ScaffoldError(f"{owner!r} is no owner: choose {', '.join(OWNERS)}")
    folder = project / "models" / "segments"
    model = folder / f"seg_{key}.sql"
    listing = project / "models" / "intermediate" / "segments" / "int_segment_matches.sql"
    catalogue = project / "seeds" / "segment_catalogue.csv"
    description = " ".join(description.split()).rstrip(".").replace("'", "’")
    listed = listing.read_text(encoding="utf-8")
    ends = listed.find("] %}")
    if model.exists() or f"'{key}'" in listed:
        raise ScaffoldError(f"there is a segment {key!r} already: see {model.name}")
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(
        [key, key.replace("_", " ").capitalize(), owner, "false", description, ""]
    )
    words = {"key": key, "owner": owner, "description": description}
    written = {
        model: MODEL.format(**words),
        folder / "_segments__models.yml": PROPERTIES.format(**words),
        folder / "_segments__unit_tests.yml": UNIT_TEST.format(**words),
        catalogue: row.getvalue(),
    }
    for path, text in written.items():
        before = path.read_text(encoding="utf-8").rstrip("\n") + "\n" if path.exists() else ""
        path.write_text(before + text, encoding="utf-8")
    listing.write_text(listed[:ends] + f"    '{key}',\n" + listed[ends:], encoding="utf-8")
    return [*written, listing]
