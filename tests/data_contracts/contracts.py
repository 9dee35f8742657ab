"""Small contracts for tests, written the way a YAML file would be read."""

from __future__ import annotations

from typing import Any

from data_contracts.models import Contract

BASE: dict[str, Any] = {
    "table": "raw.things",
    "version": 1,
    "description": "One row a thing that tests make up.",
    "owner": "team:tests",
    "columns": {
        "thing_id": {"type": "integer"},
        "kind": {"type": "text"},
        "price": {"type": "number"},
        "phone": {"type": "text", "personal": True},
        "made_at": {"type": "text", "clock": "ist_text"},
    },
}


def contract(**changes: Any) -> Contract:
    """The base contract with some keys replaced; `columns` are merged one by one."""
    content = {**BASE, **changes}
    merged = {name: dict(column) for name, column in BASE["columns"].items()}
    for name, column in changes.get("columns", {}).items():
        merged[name] = {**merged.get(name, {}), **column}
    content["columns"] = merged
    return Contract.model_validate(content)
