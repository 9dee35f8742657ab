"""The CRM's tables as raw keeps them, whichever CRM or export they come from.

What belongs here: declarations only. What does not: reading (`folder`, `hubspot`). A second CRM is
a new module that fills the same tables.

Times are ISO text with Z, except `ts_epoch_ms`, which is milliseconds since 1970 UTC.
"""

from __future__ import annotations

from orchestration.sources.landing import Column, TableSpec


def _text(name: str) -> Column:
    return Column(name=name, type="VARCHAR")


def _time(name: str) -> Column:
    return Column(name=name, type="VARCHAR", is_time=True)


CONTACTS = TableSpec(
    name="crm_contacts",
    columns=(
        _text("contact_id"),
        _text("external_id"),
        _text("first_name"),
        _text("phone"),
        _text("email"),
        _text("whatsapp_consent"),
        _text("sms_consent"),
        _text("email_consent"),
        _text("push_consent"),
        _text("source"),
        _time("created_at"),
        Column(name="purged", type="BOOLEAN"),
    ),
    key=("contact_id",),
    changes_by="contact_id",
)

JOURNEY_ENTRIES = TableSpec(
    name="crm_journey_entries",
    columns=(
        Column(name="entry_id", type="BIGINT"),
        _text("contact_id"),
        _text("journey_key"),
        _time("entered_at"),
        _text("arm"),
        Column(name="is_global_holdout", type="BOOLEAN"),
        _text("experiment_id"),
        _text("variant"),
    ),
    changes_by="entry_id",
)

ASSIGNMENTS = TableSpec(
    name="crm_assignments",
    columns=(_text("contact_id"), _text("experiment_id"), _text("arm")),
)

MESSAGES = TableSpec(
    name="crm_messages",
    columns=(
        _text("message_id"),
        Column(name="entry_id", type="BIGINT"),
        _text("contact_id"),
        _text("campaign_key"),
        _text("variant"),
        _text("channel"),
        _text("purpose"),
        _text("to_address"),
        _text("template_id"),
        _time("sent_at"),
        Column(name="cost_inr", type="DOUBLE"),
    ),
    changes_by="message_id",
)

CHANNEL_EVENTS = TableSpec(
    name="crm_channel_events",
    columns=(
        _text("event_id"),
        _text("message_id"),
        _text("channel"),
        _text("event"),
        Column(name="ts_epoch_ms", type="BIGINT"),
        _text("reason"),
        _time("received_at"),
    ),
    changes_by="message_id",
)

CRM_TABLES: tuple[TableSpec, ...] = (
    CONTACTS,
    JOURNEY_ENTRIES,
    ASSIGNMENTS,
    MESSAGES,
    CHANNEL_EVENTS,
)
"""Every raw table of the CRM, in the order in which it is pulled."""

BY_NAME: dict[str, TableSpec] = {spec.name: spec for spec in CRM_TABLES}
