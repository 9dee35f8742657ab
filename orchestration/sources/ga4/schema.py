"""The columns of Google's export, and how a table of another age or type is read into them.

What belongs here: the union of all export columns, the comparison of a table at hand with them,
and the SQL that checks and casts. What does not: where tables come from and what is replaced.

Columns and nesting: Google Analytics help, "BigQuery Export schema" (answer/7029846). Older exports
lack newer columns and nested fields: they read as NULL. Columns we do not know are left out and
named in a note. A type may differ as long as every value says the same in ours ("12" is 12, 12.0
is 12, 12.5 is not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import duckdb
from duckdb import sqltype
from duckdb.sqltypes import DuckDBPyType

from orchestration.sources.casting import SCALAR_KINDS, says_the_same
from orchestration.sources.errors import SourceSchemaError
from orchestration.sources.landing import Column, TableSpec, quote

EXPORT_COLUMNS: dict[str, str] = {
    "event_date": "VARCHAR",
    "event_timestamp": "BIGINT",
    "event_name": "VARCHAR",
    "event_params": (
        "STRUCT(key VARCHAR, value STRUCT(string_value VARCHAR, int_value BIGINT, float_value "
        "DOUBLE, double_value DOUBLE))[]"
    ),
    "event_previous_timestamp": "BIGINT",
    "event_value_in_usd": "DOUBLE",
    "event_bundle_sequence_id": "BIGINT",
    "event_server_timestamp_offset": "BIGINT",
    "user_id": "VARCHAR",
    "user_pseudo_id": "VARCHAR",
    "privacy_info": (
        "STRUCT(analytics_storage VARCHAR, ads_storage VARCHAR, uses_transient_token VARCHAR)"
    ),
    "user_properties": (
        "STRUCT(key VARCHAR, value STRUCT(string_value VARCHAR, int_value BIGINT, float_value "
        "DOUBLE, double_value DOUBLE, set_timestamp_micros BIGINT))[]"
    ),
    "user_first_touch_timestamp": "BIGINT",
    "user_ltv": "STRUCT(revenue DOUBLE, currency VARCHAR)",
    "device": (
        "STRUCT(category VARCHAR, mobile_brand_name VARCHAR, mobile_model_name VARCHAR, "
        "mobile_marketing_name VARCHAR, mobile_os_hardware_model VARCHAR, operating_system "
        "VARCHAR, operating_system_version VARCHAR, vendor_id VARCHAR, advertising_id "
        "VARCHAR, language VARCHAR, is_limited_ad_tracking VARCHAR, time_zone_offset_seconds "
        "BIGINT, browser VARCHAR, browser_version VARCHAR, web_info STRUCT(browser VARCHAR, "
        "browser_version VARCHAR, hostname VARCHAR))"
    ),
    "geo": (
        "STRUCT(city VARCHAR, country VARCHAR, continent VARCHAR, region VARCHAR, "
        "sub_continent VARCHAR, metro VARCHAR)"
    ),
    "app_info": (
        "STRUCT(id VARCHAR, version VARCHAR, install_store VARCHAR, firebase_app_id VARCHAR, "
        "install_source VARCHAR)"
    ),
    "traffic_source": "STRUCT(name VARCHAR, medium VARCHAR, source VARCHAR)",
    "stream_id": "VARCHAR",
    "platform": "VARCHAR",
    "event_dimensions": "STRUCT(hostname VARCHAR)",
    "ecommerce": (
        "STRUCT(total_item_quantity BIGINT, purchase_revenue_in_usd DOUBLE, purchase_revenue "
        "DOUBLE, refund_value_in_usd DOUBLE, refund_value DOUBLE, shipping_value_in_usd "
        "DOUBLE, shipping_value DOUBLE, tax_value_in_usd DOUBLE, tax_value DOUBLE, "
        "unique_items BIGINT, transaction_id VARCHAR)"
    ),
    "items": (
        "STRUCT(item_id VARCHAR, item_name VARCHAR, item_brand VARCHAR, item_variant VARCHAR, "
        "item_category VARCHAR, item_category2 VARCHAR, item_category3 VARCHAR, "
        "item_category4 VARCHAR, item_category5 VARCHAR, price_in_usd DOUBLE, price DOUBLE, "
        "quantity BIGINT, item_revenue_in_usd DOUBLE, item_revenue DOUBLE, item_refund_in_usd "
        "DOUBLE, item_refund DOUBLE, coupon VARCHAR, affiliation VARCHAR, location_id "
        "VARCHAR, item_list_id VARCHAR, item_list_name VARCHAR, item_list_index VARCHAR, "
        "promotion_id VARCHAR, promotion_name VARCHAR, creative_name VARCHAR, creative_slot "
        "VARCHAR, item_params STRUCT(key VARCHAR, value STRUCT(string_value VARCHAR, "
        "int_value BIGINT, float_value DOUBLE, double_value DOUBLE))[])[]"
    ),
    "collected_traffic_source": (
        "STRUCT(manual_campaign_id VARCHAR, manual_campaign_name VARCHAR, manual_source "
        "VARCHAR, manual_medium VARCHAR, manual_term VARCHAR, manual_content VARCHAR, "
        "manual_source_platform VARCHAR, manual_creative_format VARCHAR, "
        "manual_marketing_tactic VARCHAR, gclid VARCHAR, dclid VARCHAR, srsltid VARCHAR)"
    ),
    "is_active_user": "BOOLEAN",
    "batch_event_index": "BIGINT",
    "batch_page_id": "BIGINT",
    "batch_ordering_id": "BIGINT",
    "session_traffic_source_last_click": (
        "STRUCT(manual_campaign STRUCT(campaign_id VARCHAR, campaign_name VARCHAR, source "
        "VARCHAR, medium VARCHAR, term VARCHAR, content VARCHAR, source_platform VARCHAR, "
        "creative_format VARCHAR, marketing_tactic VARCHAR), google_ads_campaign "
        "STRUCT(customer_id VARCHAR, account_name VARCHAR, campaign_id VARCHAR, campaign_name "
        "VARCHAR, ad_group_id VARCHAR, ad_group_name VARCHAR), cross_channel_campaign "
        "STRUCT(campaign_id VARCHAR, campaign_name VARCHAR, source VARCHAR, medium VARCHAR, "
        "source_platform VARCHAR, default_channel_group VARCHAR, primary_channel_group "
        "VARCHAR), sa360_campaign STRUCT(campaign_id VARCHAR, campaign_name VARCHAR, source "
        "VARCHAR, medium VARCHAR, ad_group_id VARCHAR, ad_group_name VARCHAR, creative_format "
        "VARCHAR, engine_account_name VARCHAR, engine_account_type VARCHAR, "
        "manager_account_name VARCHAR), cm360_campaign STRUCT(campaign_id VARCHAR, "
        "campaign_name VARCHAR, source VARCHAR, medium VARCHAR, account_id VARCHAR, "
        "account_name VARCHAR, advertiser_id VARCHAR, advertiser_name VARCHAR, creative_id "
        "VARCHAR, creative_format VARCHAR, creative_name VARCHAR, creative_type VARCHAR, "
        "creative_type_id VARCHAR, creative_version VARCHAR, placement_id VARCHAR, "
        "placement_cost_structure VARCHAR, placement_name VARCHAR, rendering_id VARCHAR, "
        "site_id VARCHAR, site_name VARCHAR), dv360_campaign STRUCT(campaign_id VARCHAR, "
        "campaign_name VARCHAR, source VARCHAR, medium VARCHAR, advertiser_id VARCHAR, "
        "advertiser_name VARCHAR, creative_id VARCHAR, creative_format VARCHAR, creative_name "
        "VARCHAR, exchange_id VARCHAR, exchange_name VARCHAR, insertion_order_id VARCHAR, "
        "insertion_order_name VARCHAR, line_item_id VARCHAR, line_item_name VARCHAR, "
        "partner_id VARCHAR, partner_name VARCHAR))"
    ),
    "publisher": (
        "STRUCT(ad_revenue_in_usd DOUBLE, ad_format VARCHAR, ad_source_name VARCHAR, "
        "ad_unit_id VARCHAR)"
    ),
    "event_original_occurrence_timestamp": "BIGINT",
}
"""Export column → DuckDB type: every column of the current export."""

REQUIRED_COLUMNS = frozenset({"event_date", "event_timestamp", "event_name"})
"""Without these an event is nothing; every other column may be absent."""

EVENTS = TableSpec(
    name="ga4_events",
    columns=(
        *(
            Column(name=name, type=type_, is_required=name in REQUIRED_COLUMNS)
            for name, type_ in EXPORT_COLUMNS.items()
        ),
        Column(name="_table", type="VARCHAR"),
        Column(name="_table_date", type="DATE"),
        Column(name="_is_intraday", type="BOOLEAN"),
    ),
)
"""`raw.ga4_events`: export rows as they are, with the export table each came from."""

_LIST_STEP = "[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafDifference:
    """One place where a table at hand has another type than the export should.

    Attributes:
        path: Steps from the column down; `[]` steps into the elements of a list.
        actual: Type at hand.
        expected: Type of the export.
    """

    path: tuple[str, ...]
    actual: str
    expected: str

    @property
    def column(self) -> str:
        """The column in which the place is."""
        return next(iter(self.path))

    @property
    def name(self) -> str:
        """The path as a person writes it: `event_params[].value.int_value`."""
        return ".".join(self.path).replace("." + _LIST_STEP, _LIST_STEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """How to read one table at hand into the export's columns.

    Attributes:
        absent: Export columns the table does not have.
        unknown: Columns and nested fields the export does not have.
        differences: Scalar places with another type, whose values must be checked.
        contradictions: Places where the nesting itself differs.
    """

    absent: frozenset[str]
    unknown: tuple[str, ...]
    differences: tuple[LeafDifference, ...]
    contradictions: tuple[LeafDifference, ...]

    @property
    def note(self) -> str | None:
        """What was left out, for a person, or None."""
        if not self.unknown:
            return None
        return f"columns unknown to us, left out: {', '.join(self.unknown[:10])}"


def _children(type_: DuckDBPyType) -> dict[str, DuckDBPyType]:
    # DuckDB types the second of a pair for all kinds of types at once.
    return {name: cast(DuckDBPyType, child) for name, child in type_.children}


def _element(type_: DuckDBPyType) -> DuckDBPyType:
    return cast(DuckDBPyType, type_.children[0][1])


def _compare(
    path: tuple[str, ...],
    actual: DuckDBPyType,
    expected: DuckDBPyType,
    unknown: list[str],
    differences: list[LeafDifference],
    contradictions: list[LeafDifference],
) -> None:
    if actual.id == expected.id == "struct":
        have, want = _children(actual), _children(expected)
        unknown.extend(".".join((*path, name)) for name in have if name not in want)
        if not set(have) & set(want):
            contradictions.append(_difference(path, actual, expected))
        for name, type_ in want.items():
            if name in have:
                _compare((*path, name), have[name], type_, unknown, differences, contradictions)
    elif actual.id == expected.id == "list":
        _compare(
            (*path, _LIST_STEP),
            _element(actual),
            _element(expected),
            unknown,
            differences,
            contradictions,
        )
    elif actual.id in SCALAR_KINDS and expected.id in SCALAR_KINDS:
        if actual.id != expected.id:
            differences.append(_difference(path, actual, expected))
    else:
        contradictions.append(_difference(path, actual, expected))


def _difference(
    path: tuple[str, ...], actual: DuckDBPyType, expected: DuckDBPyType
) -> LeafDifference:
    return LeafDifference(path=path, actual=str(actual), expected=str(expected))


def plan_read(columns: Sequence[str], types: Sequence[DuckDBPyType]) -> ReadPlan:
    """Compare the columns of a table at hand with those of the export."""
    present = dict(zip(columns, types, strict=True))
    unknown = [name for name in present if name not in EXPORT_COLUMNS]
    differences: list[LeafDifference] = []
    contradictions: list[LeafDifference] = []
    for name, type_ in EXPORT_COLUMNS.items():
        if name in present:
            _compare((name,), present[name], sqltype(type_), unknown, differences, contradictions)
    return ReadPlan(
        absent=frozenset(EXPORT_COLUMNS) - set(present),
        # A wildcard query adds its suffix to the rows; it says nothing the table name does not.
        unknown=tuple(name for name in unknown if name != "_table_suffix"),
        differences=tuple(differences),
        contradictions=tuple(contradictions),
    )


def _values_at(expression: str, path: Sequence[str], depth: int = 0) -> tuple[str, bool]:
    """Return SQL for the value at `path`, and whether that is a list of values."""
    for position, step in enumerate(path):
        if step == _LIST_STEP:
            element = f"element_{depth}"
            inner, is_list = _values_at(element, path[position + 1 :], depth + 1)
            values = f"list_transform({expression}, lambda {element}: {inner})"
            return (f"flatten({values})" if is_list else values), True
        expression = f"{expression}.{quote(step)}" if expression else quote(step)
    return expression, False


def check_read(
    connection: duckdb.DuckDBPyConnection, relation: str, plan: ReadPlan, thing: str
) -> frozenset[str]:
    """Make sure every value of `relation` can be read as the export's type.

    Args:
        connection: Open warehouse.
        relation: The table at hand, as SQL.
        plan: How it differs.
        thing: Its name for the error.

    Returns:
        Columns that must be read as NULL because they hold nothing of the right nesting.

    Raises:
        SourceSchemaError: A required column is absent, or a value does not fit.
    """
    next_step = (
        "compare the export's columns with Google's schema, export the table again,"
        " and start another pull"
    )
    missing = sorted(plan.absent & REQUIRED_COLUMNS)
    if missing:
        raise SourceSchemaError(thing, f"has no column {', '.join(missing)}", next_step)
    places = [*plan.contradictions, *plan.differences]
    counts = ["count(*)", *(f"count({quote(name)})" for name in sorted(REQUIRED_COLUMNS))]
    for place in places:
        value, is_list = _values_at("", place.path)
        fits = (
            "false"
            if place in plan.contradictions
            else says_the_same("leaf" if is_list else value, place.actual, place.expected)
        )
        counts.append(
            f"coalesce(sum(len(list_filter({value}, lambda leaf: leaf is not null and not"
            f" coalesce({fits}, false)))), 0)"
            if is_list
            else f"coalesce(sum(case when {value} is not null and not coalesce({fits}, false)"
            " then 1 else 0 end), 0)"
        )
    row = connection.execute(f"select {', '.join(counts)} from {relation}").fetchone()
    total, *rest = row if row is not None else (0,) * len(counts)
    filled, bad = rest[: len(REQUIRED_COLUMNS)], rest[len(REQUIRED_COLUMNS) :]
    for name, count in zip(sorted(REQUIRED_COLUMNS), filled, strict=True):
        if total and not count:
            raise SourceSchemaError(thing, f"has no value in column {name}", next_step)
    empty = set()
    for place, count in zip(places, bad, strict=True):
        if count:
            raise SourceSchemaError(
                thing,
                f"column {place.name} has type {place.actual} and not {place.expected},"
                f" and {count} of its values cannot be read as {place.expected}",
                next_step,
            )
        if place in plan.contradictions:
            if len(place.path) > 1:
                raise SourceSchemaError(
                    thing,
                    f"column {place.name} has type {place.actual} and not {place.expected}",
                    next_step,
                )
            empty.add(place.column)
    return frozenset(empty)


def select_export_columns(plan: ReadPlan, empty: frozenset[str]) -> str:
    """Return the select list that reads a checked table as the export's columns, in order."""
    return ", ".join(
        f"cast(null as {type_}) as {quote(name)}"
        if name in plan.absent or name in empty
        else f"cast({quote(name)} as {type_}) as {quote(name)}"
        for name, type_ in EXPORT_COLUMNS.items()
    )


def loose_type(type_: DuckDBPyType) -> str:
    """Return `type_` with text in place of every number and flag.

    JSON is read so: DuckDB's JSON reader would round 12.5 to 12 in a whole-number column and say
    nothing; as text the value can be checked like any other difference of types.
    """
    if type_.id == "struct":
        fields = ", ".join(
            f"{quote(name)} {loose_type(child)}" for name, child in _children(type_).items()
        )
        return f"STRUCT({fields})"
    if type_.id == "list":
        return f"{loose_type(_element(type_))}[]"
    return "VARCHAR"


def loose_columns() -> dict[str, str]:
    """Return the export's columns with loose types, for reading JSON."""
    return {name: loose_type(sqltype(type_)) for name, type_ in EXPORT_COLUMNS.items()}
