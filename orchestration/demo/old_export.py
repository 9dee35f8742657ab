"""What the former marketing tool left behind: entries, assignments, messages, channel events.

Belongs here: rendering of its history with its mess (webhooks twice, late, skewed, local time as
UTC, a day one channel was out), and its broadcasts, which nobody's behaviour depends on. Does
not belong here: its journeys (``old_tool.py``) and reactions (``reactions.py``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.crm_writer import SOURCES, contact_bits, contact_ids, iso_text
from orchestration.demo.files import save_table
from orchestration.demo.frames import Frame
from orchestration.demo.old_tool import EXPERIMENTS, OldTool, message_key
from orchestration.demo.people import People
from orchestration.demo.reactions import campaign_numbers, play_out
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

_TEXT = pa.string()
_FIRST_ENTRY = 1001
_FIRST_BROADCAST = 2_000_000_000
#: Messages rendered at a time, and what the engine may hold of all of them.
_CHUNK = 400_000
_MEMORY = "1GB"
_ARMS = ("0_per_week", "1_per_week", "2_per_week", "4_per_week")
_PER_WEEK = np.array([0, 1, 2, 4])
_COST = {True: (0.88, 0.20, 0.02, 0.0), False: (0.13, 0.20, 0.02, 0.0)}
_CARE = frozenset(
    {"order_not_completed", "docs_reminder", "pickup_reminder", "pickup_recovery",
     "feedback_request"}
)  # fmt: skip
_KINDS = ("sent", "delivered", "read", "open", "click", "reply", "failed", "opt_out")
_REASONS = (
    "131026 undeliverable", "absent subscriber", "mailbox unavailable", "unregistered token",
    "operator outage",
)  # fmt: skip
_MESSAGE = {
    "number": "i8", "entry": "i8", "contact": "i8", "person": "i8", "campaign": "i2",
    "variant": "i1", "channel": "i1", "sent": "i8", "key": "i8",
}  # fmt: skip


class OldExport:
    """Writes the former tool's part of the CRM export folder, once."""

    __slots__ = ("folder", "people", "state")

    def __init__(self, folder: Path, state: State, people: People) -> None:
        self.folder = folder
        self.state = state
        self.people = people

    def write(self, old_tool: OldTool) -> int:
        """Write entries, assignments, messages and channel events; returns the messages."""
        entries = old_tool.entries
        entries = entries.take(np.lexsort((entries["journey"], entries["key"], entries["t"])))
        messages = Frame(_MESSAGE)
        rows = np.flatnonzero(entries["sent"] > 0)
        number = _FIRST_ENTRY + rows
        messages.append(
            len(rows),
            number=number,
            entry=number,
            contact=entries["contact"][rows],
            person=entries["person"][rows],
            campaign=entries["journey"][rows],
            variant=entries["variant"][rows],
            channel=entries["channel"][rows],
            sent=entries["sent"][rows],
            key=_entry_keys(entries)[rows],
        )
        assigned, arms = self._broadcasts(messages)
        self._write_entries(entries)
        save_table(
            self.folder / "assignments.parquet",
            pa.table({
                "contact_id": pa.array(contact_ids(self.people, assigned), _TEXT),
                "experiment_id": pa.array(["exp_promo_volume"] * len(assigned), _TEXT),
                "arm": pa.array([_ARMS[arm] for arm in arms.tolist()], _TEXT),
            }),
        )  # fmt: skip
        self._write_messages(messages)
        return len(messages)

    def _broadcasts(self, messages: Frame) -> tuple[Ints, Ints]:
        """Weekly promotions by randomised volume, and two blasts; opt-outs end them."""
        state, people, draws = self.state, self.people, self.people.draws
        persons, contacts = state["persons"], state["contacts"]
        begin, start = int(state.meta["old_tool_from"]), int(state.meta["start"])
        eligible = contacts["source"] != SOURCES.index("import")
        eligible &= contacts["created"] < start
        contact, person = contacts["key"][eligible], contacts["person"][eligible]
        created = contacts["created"][eligible]
        arms = draws.below(len(_ARMS), "volume/arm", contact)
        kind = people.phone_kind(person)
        valid = ~np.isin(
            kind, [cat.PhoneKind.PLACEHOLDER, cat.PhoneKind.INVALID, cat.PhoneKind.LANDLINE]
        )
        valid &= people.consent(person)[:, 0] == 1
        first_day = (begin + cat.IST) // cat.DAY
        weeks = max(0, int((start - begin) // (7 * cat.DAY)))
        jobs: list[tuple[int, NDArray[np.bool_], Ints]] = []
        promo = cat.CAMPAIGNS.index("promo_weekly")
        for week in range(weeks):
            for turn in range(int(_PER_WEEK.max())):
                day = first_day + week * 7 + draws.below(7, "volume/day", contact, week, turn)
                minute = draws.between(9, 21, "volume/hour", contact, week, turn) * cat.HOUR
                at = day * cat.DAY - cat.IST + minute.astype(np.int64)
                jobs.append((promo, _PER_WEEK[arms] > turn, at))
        blast = cat.CAMPAIGNS.index("vip_blast")
        for week in (weeks // 2, weeks - 2):
            if week < 0:
                continue
            day = first_day + week * 7 + 3
            at = np.full(len(contact), day * cat.DAY - cat.IST + 11 * cat.HOUR)
            jobs.append((blast, draws.chance(0.29, "volume/vip", contact, week), at))
        jobs.sort(key=lambda job: int(job[2].min()) if len(job[2]) else 0)
        click = campaign_numbers(state.behaviour, list(cat.CAMPAIGNS))[0] * 0.45
        for campaign, wanted, at in jobs:
            stop, deleted = persons["stop0"][person], persons["deleted"][person]
            rows = np.flatnonzero(
                wanted & valid & (created < at) & (at < start)
                & ((stop == 0) | (stop > at)) & ((deleted == 0) | (deleted > at))
            )  # fmt: skip
            if not len(rows):
                continue
            rows = rows[np.lexsort((contact[rows], at[rows]))]
            bits = draws.bits("broadcast", contact[rows], at[rows], campaign)
            key = (bits >> np.uint64(4)).view(np.int64)
            messages.append(
                len(rows),
                number=_FIRST_BROADCAST + len(messages) + np.arange(len(rows)),
                contact=contact[rows],
                person=person[rows],
                campaign=campaign,
                channel=cat.Channel.WHATSAPP,
                sent=at[rows],
                key=key,
            )
            outcome = play_out(
                people,
                person=person[rows],
                channel=np.zeros(len(rows), dtype=np.int64),
                click_rate=np.full(len(rows), click[campaign]),
                promotional=np.ones(len(rows), dtype=bool),
                sent=at[rows],
                key=key,
            )
            stops = outcome.stop < cat.NEVER
            who = person[rows][stops]
            persons["stop0"][who] = np.where(
                persons["stop0"][who] == 0, outcome.stop[stops], persons["stop0"][who]
            )
            state["log"].append(
                len(who), t=outcome.stop[stops], person=who, fact=cat.Fact.OPTED_OUT, entity=0
            )
        return contact, arms

    def _write_entries(self, entries: Frame) -> None:
        journeys = entries["journey"].tolist()
        variants = [("", "A", "B")[variant] or None for variant in entries["variant"].tolist()]
        save_table(
            self.folder / "journey_entries.parquet",
            pa.table({
                "entry_id": pa.array(_FIRST_ENTRY + np.arange(len(entries)), pa.int64()),
                "contact_id": pa.array(contact_ids(self.people, entries["contact"]), _TEXT),
                "journey_key": pa.array([cat.CAMPAIGNS[code] for code in journeys], _TEXT),
                "entered_at": iso_text(entries["t"]).cast(_TEXT),
                "arm": pa.array(
                    [("treatment", "control")[arm] for arm in entries["control"].tolist()], _TEXT
                ),
                "is_global_holdout": pa.array(entries["holdout"]),
                "experiment_id": pa.array(
                    [EXPERIMENTS.get(cat.CAMPAIGNS[code]) for code in journeys], _TEXT
                ),
                "variant": pa.array(variants, _TEXT),
            }),
        )  # fmt: skip

    def _write_messages(self, messages: Frame) -> None:
        """Render in the database engine, which makes text of millions of rows, in little memory."""
        # Used once in a world's life; an advance should not pay for its import.
        import duckdb

        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / ".scratch.duckdb"
        scratch.unlink(missing_ok=True)
        connection = duckdb.connect(str(scratch))
        try:
            connection.execute(f"SET threads = 2; SET memory_limit = '{_MEMORY}'")
            for first in range(0, max(len(messages), 1), _CHUNK):
                part = messages.take(np.arange(first, min(first + _CHUNK, len(messages))))
                rows, events = self._happenings(part)
                for name, table in (("rows_", rows), ("events_", events)):
                    connection.register("part", table)
                    verb = f"INSERT INTO {name}" if first else f"CREATE TABLE {name} AS"
                    connection.execute(f"{verb} SELECT * FROM part")
                    connection.unregister("part")
            lists = {
                "campaigns": list(cat.CAMPAIGNS), "channels": list(cat.CHANNELS),
                "kinds": list(_KINDS), "reasons": list(_REASONS),
            }  # fmt: skip
            for name, values in lists.items():
                connection.execute(f"SET VARIABLE {name} = ?", [values])
            for name, query in (("messages", _MESSAGES_SQL), ("channel_events", _EVENTS_SQL)):
                draft = self.folder / f".{name}.tmp"
                place = draft.as_posix().replace("'", "''")
                connection.execute(
                    f"COPY ({query}) TO '{place}' (FORMAT parquet, COMPRESSION zstd)"
                )
                draft.replace(self.folder / f"{name}.parquet")
        finally:
            connection.close()
            scratch.unlink(missing_ok=True)

    def _happenings(self, messages: Frame) -> tuple[pa.Table, pa.Table]:
        """Messages and their events as numbers."""
        people, draws = self.people, self.people.draws
        person, channel, key = messages["person"], messages["channel"], messages["key"]
        clicks = campaign_numbers(self.state.behaviour, list(cat.CAMPAIGNS))[0]
        clicks[cat.CAMPAIGNS.index("promo_weekly") :] *= 0.45
        care = np.array([name in _CARE for name in cat.CAMPAIGNS])[messages["campaign"]]
        outcome = play_out(
            people,
            person=person,
            channel=channel.astype(np.int64),
            click_rate=clicks[messages["campaign"]],
            promotional=~care,
            sent=messages["sent"],
            key=key,
        )
        day = (messages["sent"] + cat.IST) // cat.DAY
        dark = int(self.state.meta["start_day"]) - 17
        outage = (channel == cat.Channel.SMS) & (day == dark)
        failed = outcome.failed | outage
        cost = np.where(
            care,
            np.array(_COST[False])[channel],
            np.array(_COST[True])[channel],
        )
        by_read = np.isin(channel, [cat.Channel.WHATSAPP, cat.Channel.SMS])
        replies = (outcome.stop < cat.NEVER) & (channel == cat.Channel.WHATSAPP)
        moments = {
            "sent": messages["sent"] + cat.SECOND,
            "delivered": outcome.delivered,
            "read": np.where(by_read, outcome.read, cat.NEVER),
            "open": np.where(by_read, cat.NEVER, np.minimum(outcome.read, outcome.machine_open)),
            "click": outcome.click,
            "reply": np.where(
                replies & draws.chance(0.45, "old/reply", key), outcome.stop, cat.NEVER
            ),
            "failed": np.where(failed, messages["sent"] + 4 * cat.SECOND, cat.NEVER),
            "opt_out": outcome.stop,
        }
        reason = np.where(outage, len(_REASONS) - 1, channel)
        numbers, kinds, stamps, channels, reasons, keys = [], [], [], [], [], []
        for code, kind in enumerate(_KINDS):
            when = moments[kind]
            hit = when < cat.NEVER
            if kind != "failed":
                hit &= ~failed | (kind == "sent")
            hit &= when < int(self.state.meta["start"]) + cat.DAY
            numbers.append(messages["number"][hit])
            kinds.append(np.full(int(hit.sum()), code, dtype=np.int8))
            stamps.append(when[hit])
            channels.append(channel[hit])
            reasons.append(np.where(kind == "failed", reason, -1)[hit])
            keys.append((draws.bits(f"old/event/{kind}", key[hit]) >> np.uint64(1)).view(np.int64))
        event_key = np.concatenate(keys)
        when = np.concatenate(stamps)
        late = draws.chance(0.04, "old/event/late", event_key)
        lag = np.where(
            late,
            draws.between(1800, 40_000, "old/event/hours", event_key),
            draws.between(1, 50, "old/event/lag", event_key),
        )
        received = when + (lag * cat.SECOND).astype(np.int64)
        # Some senders' clocks are ahead, some report local time as if it were UTC.
        skew = draws.unit("old/event/skew", event_key)
        shift = np.select([skew < 0.004, skew < 0.012], [cat.IST, 55 * cat.SECOND], 0)
        events = {
            "key": event_key,
            "number": np.concatenate(numbers),
            "kind": np.concatenate(kinds),
            "channel": np.concatenate(channels),
            "reason": np.concatenate(reasons).astype(np.int64),
            "ts": (when + shift) // 1000,
            "received": received,
        }
        twice = np.flatnonzero(draws.chance(0.013, "old/event/twice", event_key))
        events = {name: np.concatenate([values, values[twice]]) for name, values in events.items()}
        events["received"][len(event_key) :] += 90 * cat.SECOND
        known = events["received"] <= int(self.state.meta["start"])
        events = {name: values[known] for name, values in events.items()}
        rows = {
            "number": messages["number"], "entry": messages["entry"],
            "contact": contact_bits(people, messages["contact"]),
            "campaign": messages["campaign"].astype(np.int64),
            "variant": messages["variant"].astype(np.int64),
            "channel": channel.astype(np.int64), "care": care, "person": person,
            "phone": people.phone(person, 0), "sent": messages["sent"], "cost": cost,
        }  # fmt: skip
        table = pa.table({
            **{name: pa.array(column) for name, column in rows.items()},
            "mail": _lookup_emails(people, person, channel),
        })  # fmt: skip
        return table, pa.table({name: pa.array(column) for name, column in events.items()})


# Numbers are sorted, not text: a tenth of the memory.
_MESSAGES_SQL = """
    SELECT
        'm' || number AS message_id,
        nullif(entry, 0) AS entry_id,
        printf('c_%012x', contact) AS contact_id,
        getvariable('campaigns')[campaign + 1] AS campaign_key,
        CASE variant WHEN 1 THEN 'A' WHEN 2 THEN 'B' END AS variant,
        getvariable('channels')[channel + 1] AS channel,
        CASE WHEN care THEN 'service' ELSE 'marketing' END AS purpose,
        CASE channel WHEN 2 THEN mail WHEN 3 THEN printf('tok_%d', person)
            ELSE printf('91%010d', phone) END AS to_address,
        'tpl_' || getvariable('campaigns')[campaign + 1] AS template_id,
        strftime(make_timestamp(sent), '%Y-%m-%dT%H:%M:%SZ') AS sent_at,
        CAST(cost AS DOUBLE) AS cost_inr
    FROM (SELECT * FROM rows_ ORDER BY sent, number)
"""
_EVENTS_SQL = """
    SELECT
        printf('e%016x', key) AS event_id,
        'm' || number AS message_id,
        getvariable('channels')[channel + 1] AS channel,
        getvariable('kinds')[kind + 1] AS event,
        ts AS ts_epoch_ms,
        getvariable('reasons')[nullif(reason, -1) + 1] AS reason,
        strftime(make_timestamp(received), '%Y-%m-%dT%H:%M:%SZ') AS received_at
    FROM (SELECT * FROM events_ ORDER BY received, key, kind)
"""


def _entry_keys(entries: Frame) -> Ints:
    keys = np.zeros(len(entries), dtype=np.int64)
    for code in np.unique(entries["journey"]).tolist():
        hit = entries["journey"] == code
        keys[hit] = message_key(entries["key"][hit], int(code))
    return keys


def _lookup_emails(people: People, person: Ints, channel: NDArray[np.generic]) -> pa.Array:
    """Addresses for the e-mail rows only; the others are NULL."""
    rows = np.flatnonzero(channel == cat.Channel.EMAIL)
    texts = pa.array([*people.emails(person[rows], 0), None], _TEXT)
    index = np.full(len(person), len(rows), dtype=np.int64)
    index[rows] = np.arange(len(rows))
    return texts.take(pa.array(index))
