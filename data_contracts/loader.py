"""Reads contract files. What belongs: YAML to `models.Contract`, strictly, with errors people mend.

What does not: what the keys mean (`models`) and judging data (`validator`).

Strict means: an unknown key, a key given twice, a value of the wrong kind, SQL that DuckDB cannot
bind to the declared columns, or a file in the wrong place is an error that names the file and the
key. A list that quietly lost a check is worse than none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import yaml
from pydantic import ValidationError

from data_contracts.checks import plan_checks
from data_contracts.clocks import instant_sql, quote, stored_type
from data_contracts.errors import ContractFileError
from data_contracts.models import Column, ColumnType, Contract, fill_placeholders

CONTRACTS_FOLDER = Path(__file__).resolve().parent
EDGES = ("raw", "sync")

# A declared column stands in for the real one when SQL is bound: one type of each family.
_BIND_TYPES = {
    ColumnType.TEXT: "varchar",
    ColumnType.INTEGER: "bigint",
    ColumnType.NUMBER: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.DATE: "date",
}


# The C parser where PyYAML was built with it: ten times faster, the same language.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_SafeLoader):
    """YAML's safe loader, except that a key given twice is an error instead of a lost rule."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_StrictLoader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
    _construct_mapping,
)


def load_contract(path: Path) -> Contract:
    """Reads one contract file.

    Args:
        path: a YAML file; its folder and name must be the schema and table it speaks of.

    Raises:
        ContractFileError: the file cannot be read as a contract; the text names file and key.
    """
    label = f"{path.parent.name}/{path.name}"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ContractFileError(f"{label}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractFileError(f"{label}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ContractFileError(f"{label}: a contract is a mapping of keys, not a list or a text")
    if "file" in content:
        raise ContractFileError(f"{label}: file: unknown key; the loader knows the file's name")
    try:
        contract = Contract.model_validate({**content, "file": label})
    except ValidationError as error:
        raise ContractFileError(f"{label}: " + "; ".join(_say(error))) from error
    expected = f"{path.parent.name}.{path.stem}"
    if contract.table != expected:
        raise ContractFileError(
            f"{label}: table: says {contract.table}, but the file stands for {expected}"
        )
    _bind_sql(contract)
    plan_checks(contract)
    return contract


def load_contracts(folder: Path | None = None) -> tuple[Contract, ...]:
    """Reads every contract below a folder, ordered by table.

    Args:
        folder: one edge (`raw` or `sync`) or a folder that holds them; the package's own contracts
            when left out.

    Raises:
        ContractFileError: a file is wrong, or the folder holds no contract at all.
    """
    root = folder if folder is not None else CONTRACTS_FOLDER
    odd = sorted(root.rglob("*.yaml"))
    if odd:
        raise ContractFileError(f"{odd[0].parent.name}/{odd[0].name}: name it .yml, like the rest")
    paths = sorted(root.rglob("*.yml"))
    if not paths:
        raise ContractFileError(f"{root.name}/: holds no contract (*.yml)")
    return tuple(load_contract(path) for path in paths)


def _say(error: ValidationError) -> list[str]:
    """Returns pydantic's findings as `key: what is wrong`, without the values."""
    lines = []
    for finding in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in finding["loc"]) or "(whole file)"
        what = "unknown key" if finding["type"] == "extra_forbidden" else finding["msg"]
        lines.append(f"{key}: {what.removeprefix('Value error, ')}")
    return lines


def _bind_sql(contract: Contract) -> None:
    """Binds every piece of SQL of the contract to its declared columns, on an empty table.

    Raises:
        ContractFileError: DuckDB cannot bind it; the text names the key.
    """
    snippets = contract.snippets()
    if not snippets:
        return
    instants = {
        name: instant_sql(name, column.clock)
        for name, column in contract.columns.items()
        if column.clock is not None
    }
    values = {**instants, "as_of": "timestamp '2000-01-01 00:00:00'"}
    declared = ", ".join(
        f"cast(null as {_bind_type(column)}) as {quote(name)}"
        for name, column in contract.columns.items()
    )
    with duckdb.connect(":memory:") as connection:
        for place, snippet in snippets:
            condition = fill_placeholders(snippet, values)
            statement = f"select count(*) from (select {declared}) where ({condition})"
            try:
                connection.execute(statement).fetchall()
            except duckdb.Error as error:
                first_line = str(error).splitlines()[0]
                raise ContractFileError(
                    f"{contract.file}: {place}: DuckDB cannot read this SQL: {first_line}"
                ) from error


def _bind_type(column: Column) -> str:
    if column.clock is not None:
        return stored_type(column.clock)
    family = column.types[0]
    if family is ColumnType.LIST:
        return "integer[]"
    if family is ColumnType.STRUCT:
        return "struct(part integer)"
    return _BIND_TYPES[family]
