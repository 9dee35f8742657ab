"""The admin panel's tables as raw keeps them: columns, types, keys and cursors.

What belongs here: declarations only. A table or column we start to use is a line here. What does
not: reading (`client`) and cleaning (staging models).

Ids and flags are BIGINT, money is DOUBLE, times stay text in the tenant's zone without a zone mark
(`YYYY-MM-DD HH:MM:SS[.ffffff]`), as the panel shows them. Every optional table and column may be
missing at the source; what it feeds is off then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestration.sources.landing import Column, TableSpec

CursorKind = Literal["time", "id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminTable:
    """One table of the admin panel.

    Attributes:
        source_name: Its name in the panel's database.
        spec: Its copy in raw.
        cursor: Column that tells new and changed rows, or None: then it is read whole each time.
        cursor_kind: Whether the cursor is a moment or a rising id.
        is_optional: Whether an installation may lack it.
    """

    source_name: str
    spec: TableSpec
    cursor: str | None
    cursor_kind: CursorKind | None
    is_optional: bool = False


def _whole(name: str, *, is_required: bool = True) -> Column:
    return Column(name=name, type="BIGINT", is_required=is_required)


def _text(name: str, *, is_required: bool = True) -> Column:
    return Column(name=name, type="VARCHAR", is_required=is_required)


def _money(name: str, *, is_required: bool = True) -> Column:
    return Column(name=name, type="DOUBLE", is_required=is_required)


def _time(name: str, *, is_required: bool = True) -> Column:
    return Column(name=name, type="VARCHAR", is_required=is_required, is_time=True)


def _table(
    source_name: str,
    *columns: Column,
    key: tuple[str, ...] = (),
    cursor: str | None = None,
    cursor_kind: CursorKind | None = None,
    changes_by: str | None = None,
    is_optional: bool = False,
) -> AdminTable:
    return AdminTable(
        source_name=source_name,
        spec=TableSpec(
            name=f"admin_{source_name}", columns=columns, key=key, changes_by=changes_by
        ),
        cursor=cursor,
        cursor_kind=cursor_kind,
        is_optional=is_optional,
    )


ADMIN_TABLES: tuple[AdminTable, ...] = (
    _table(
        "users",
        _whole("user_id"),
        _text("name"),
        _text("phone"),
        _text("email"),
        _text("city"),
        _time("created_at"),
        _time("updated_at"),
        _whole("is_test"),
        _whole("whatsapp_opt_in"),
        _whole("sms_opt_in"),
        _whole("email_opt_in"),
        _whole("push_opt_in"),
        _time("deleted_at"),
        key=("user_id",),
        changes_by="user_id",
        cursor="updated_at",
        cursor_kind="time",
    ),
    _table(
        "consents",
        _whole("user_id"),
        _text("channel"),
        _text("status"),
        _text("source"),
        _time("changed_at"),
        changes_by="user_id",
        cursor="changed_at",
        cursor_kind="time",
    ),
    _table(
        "quotes",
        _whole("quote_id"),
        _whole("user_id"),
        _text("ga_client_id"),
        _text("phone"),
        _whole("model_id"),
        _text("category"),
        _text("brand"),
        _text("model"),
        _money("quoted_price"),
        _text("city"),
        _text("platform"),
        _time("created_at"),
        key=("quote_id",),
        changes_by="quote_id",
        cursor="quote_id",
        cursor_kind="id",
    ),
    _table(
        "orders",
        _text("order_id"),
        _whole("user_id"),
        _whole("quote_id"),
        _text("contact_phone"),
        _whole("model_id"),
        _text("category"),
        _text("brand"),
        _money("quoted_price"),
        _money("final_price"),
        _text("status"),
        _text("cancel_reason"),
        _text("city"),
        _text("source"),
        _time("created_at"),
        _time("updated_at"),
        _time("completed_at"),
        key=("order_id",),
        changes_by="order_id",
        cursor="updated_at",
        cursor_kind="time",
    ),
    _table(
        "order_status_history",
        _whole("id"),
        _text("order_id"),
        _text("status"),
        _time("changed_at"),
        _text("changed_by"),
        key=("id",),
        changes_by="order_id",
        cursor="id",
        cursor_kind="id",
    ),
    _table(
        "pickups",
        _whole("pickup_id"),
        _text("order_id"),
        _whole("attempt_no"),
        _text("city"),
        _time("slot_start"),
        _time("slot_end"),
        _text("status"),
        _text("failure_reason"),
        _time("created_at"),
        _time("updated_at"),
        key=("pickup_id",),
        changes_by="pickup_id",
        cursor="updated_at",
        cursor_kind="time",
    ),
    _table(
        "documents",
        _text("order_id"),
        _text("doc_type"),
        _time("uploaded_at"),
        changes_by="order_id",
        cursor="uploaded_at",
        cursor_kind="time",
    ),
    _table(
        "payouts",
        _whole("payout_id"),
        _text("order_id"),
        _money("amount"),
        _text("kind"),
        _text("mode"),
        _time("paid_at"),
        key=("payout_id",),
        changes_by="payout_id",
        cursor="payout_id",
        cursor_kind="id",
    ),
    _table(
        "feedback",
        _text("order_id"),
        _whole("rating"),
        _time("created_at"),
        changes_by="order_id",
        cursor="created_at",
        cursor_kind="time",
    ),
    _table(
        "push_tokens",
        _whole("user_id"),
        _text("token"),
        _text("platform", is_required=False),
        _time("updated_at"),
        key=("user_id", "token"),
        changes_by="user_id",
        cursor="updated_at",
        cursor_kind="time",
        is_optional=True,
    ),
    _table(
        "products",
        _text("sku"),
        _text("category", is_required=False),
        _text("brand", is_required=False),
        _text("title", is_required=False),
        _money("price", is_required=False),
        _money("stock", is_required=False),
        key=("sku",),
        is_optional=True,
    ),
)
"""Every table that is pulled, in the order in which it is pulled."""

BY_RAW_NAME: dict[str, AdminTable] = {table.spec.name: table for table in ADMIN_TABLES}
"""Raw table name → its declaration."""
