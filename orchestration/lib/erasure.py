"""Forgetting a person: everywhere, in an order that survives a kill, with a receipt a system.

Belongs here: which systems there are, what each does, and the order. Does not belong here: the rows
(`orchestration.lib.erase_warehouse`, `activations.ledger.erasures`) and the providers' requests
(`activations.erasure.destinations`).

The erasure, the hashes and what each step needs to know are committed to the ledger first. From that
moment pulls leave the person out and claims refuse them. Then the steps run one after the other; each can
be repeated, and one that is done forgets what it knew. A step a kill left open, and one that failed, is done by
running the command again or by the next run.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from activations.audiences.diff import read_payload
from activations.audiences.meta_custom_audience import MetaAudienceConfig
from activations.audiences.normalise import hash_email, hash_phone
from activations.erasure import ErasedIndex, Kind, Person
from activations.erasure.destinations import (
    Answered,
    erase_at_hubspot,
    erase_at_meta,
    erase_at_sendgrid,
    single_identifiers,
)
from activations.erasure.identifiers import hashes_of
from activations.ledger import Erasure, ErasureStep, Ledger
from orchestration.lib.erase_warehouse import (
    PersonRows,
    delete_from_warehouse,
    delete_reports,
    emails_written_to,
    find_person,
    republish,
)
from orchestration.lib.settings import LOOPBACK, Settings
from orchestration.lib.warehouse import WarehouseBusyError, open_warehouse
from orchestration.sources.crm import parse_crm_uri

LEDGER_FILE = "ledger_file"
_AGAIN = "close what holds it open and run `lifecycle erase` again, or wait for the next run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an erasure would do.

    Attributes:
        person: Whom.
        counts: Rows by system and table.
        steps: What each system would do.
    """

    person: Person = field(repr=False)
    counts: Mapping[str, Mapping[str, int]]
    steps: tuple[ErasureStep, ...] = field(repr=False)


def plan_erasure(settings: Settings, ledger: Ledger, wanted: str, *, now: datetime) -> Plan:
    """Find a person and everything that would be erased; changes nothing.

    Args:
        settings: With the channels' base URLs filled in.
        ledger: Opened with the erasure key.
        wanted: Whom; see `find_person`.
        now: The moment of the erasure, aware.

    Raises:
        UnknownCustomerError: Nobody or more than one customer is meant.
        ConfigurationError: There is no erasure key.
    """
    with open_warehouse(settings.warehouse_path) as connection:
        person = find_person(connection, wanted)
        emails = emails_written_to(connection, person)
        index = _index_of(ledger, person, now)
        rows = PersonRows(connection, person, index, timezone=settings.tenant_timezone)
        warehouse = rows.count()
        person = rows.person
    return Plan(
        person=person,
        counts={"ledger": ledger.count_person(person), "warehouse": warehouse},
        steps=tuple(_plan_steps(settings, ledger, person, emails, now)),
    )


def _index_of(ledger: Ledger, person: Person, now: datetime) -> ErasedIndex:
    """Return an index of this person alone, kept nowhere."""
    entries: dict[Kind, dict[str, datetime]] = {}
    for kind, digest in hashes_of(person, ledger.keyed):
        entries.setdefault(kind, {})[digest] = now
    return ErasedIndex(ledger.keyed, entries)


def begin_erasure(ledger: Ledger, plan: Plan, *, now: datetime) -> str:
    """Record a planned erasure; returns its id. From here on it will be finished, whatever happens."""
    erasure_id = secrets.token_hex(8)
    ledger.begin_erasure(
        plan.person,
        [replace(step, erasure_id=erasure_id) for step in plan.steps],
        erasure_id=erasure_id,
        requested_at=now,
    )
    return erasure_id


def carry_out(
    settings: Settings,
    ledger: Ledger,
    *,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> list[Erasure]:
    """Do what is left of every open erasure; returns them with their receipts.

    The caller holds the home's run lock.

    Args:
        settings: With the channels' base URLs filled in.
        ledger: Opened with the erasure key.
        now: Written on the receipts, aware.
        say: Told what begins.
    """
    results = []
    for erasure in ledger.list_open_erasures():
        for step in erasure.steps:
            if step.status not in ("pending", "failed") or step.system == LEDGER_FILE:
                continue
            say(f"erasing: {step.system}")
            ledger.settle_erasure_step(replace(_do(settings, ledger, step), updated_at=now))
        # Last: by now nothing is in the ledger that a finished step needed to know.
        _settle_ledger_file(ledger, erasure.erasure_id, now)
        done = ledger.read_erasure(erasure.erasure_id)
        if all(step.status in ("done", "cannot") for step in done.steps):
            ledger.finish_erasure(erasure.erasure_id, now=now)
        done = ledger.read_erasure(erasure.erasure_id)
        write_receipt(settings.reports_path, done)
        results.append(done)
    return results


# Steps ----------------------------------------------------------------------------------------


def _plan_steps(
    settings: Settings, ledger: Ledger, person: Person, emails: list[str], now: datetime
) -> list[ErasureStep]:
    everything = person.to_json()
    steps = [
        _step(system, now, payload=everything)
        for system in ("ledger", "warehouse", "published", "reports")
    ]
    steps.append(
        _step("sendgrid", now, payload=json.dumps(emails))
        if settings.sendgrid_api_key
        else _cannot(
            "sendgrid",
            now,
            "SENDGRID_API_KEY is not set",
            "if e-mails were ever sent, erase the address in SendGrid",
        )
    )
    steps.append(
        _step("meta_custom_audience", now, payload=_meta_payload(ledger, person, emails))
        if settings.meta_access_token
        else _cannot(
            "meta_custom_audience",
            now,
            "META_ACCESS_TOKEN is not set",
            "if an audience was ever synced, remove the person in the ads manager",
        )
    )
    steps.append(_crm_step(settings, person, now))
    steps.append(
        _cannot(
            "whatsapp",
            now,
            "the Cloud API keeps no list of people and takes no request to erase one",
            "delete the chat on any phone or inbox that reads the same number",
        )
    )
    steps.append(
        _cannot(
            "ga4",
            now,
            "Google takes deletions from a person signed in to the property, not from an export's reader",
            "GA4: Admin, Data deletion requests (or the User Deletion API with an OAuth client), and delete the "
            "rows in the BigQuery export; pulls leave them out until then",
        )
    )
    steps.append(
        _cannot(
            "admin",
            now,
            "the admin panel's database is the company's own and read only here",
            "delete the account there; pulls leave its rows out until then",
        )
    )
    steps.append(
        _cannot(
            "backups",
            now,
            "backups and old copies of the files are out of reach",
            "let them expire; after restoring one, restore no ledger older than this erasure",
        )
    )
    steps.append(_step(LEDGER_FILE, now))
    return steps


def _step(system: str, now: datetime, *, payload: str | None = None) -> ErasureStep:
    return ErasureStep(
        erasure_id="", system=system, status="pending", payload=payload, updated_at=now
    )


def _cannot(system: str, now: datetime, detail: str, next_step: str) -> ErasureStep:
    return ErasureStep(
        erasure_id="",
        system=system,
        status="cannot",
        detail=detail,
        next_step=next_step,
        updated_at=now,
    )


def _meta_payload(ledger: Ledger, person: Person, emails: list[str]) -> str:
    """What Meta may know the person by: what we put there, and the addresses nobody shares."""
    own_emails = {hash_email(each) for each in emails}
    own_phones = {hash_phone(each) for each in person.of(Kind.PHONE)}
    others = {
        each
        for text in ledger.read_audience_payloads_of(person.of(Kind.CUSTOMER), of_others=True)
        for each in (read_payload(text).email_sha256, read_payload(text).phone_sha256)
    }
    for text in ledger.read_audience_payloads_of(person.of(Kind.CUSTOMER)):
        told = read_payload(text)
        own_emails.add(told.email_sha256)
        own_phones.add(told.phone_sha256)
    return json.dumps([sorted(own_emails - others - {""}), sorted(own_phones - others - {""})])


def _crm_step(settings: Settings, person: Person, now: datetime) -> ErasureStep:
    if not settings.crm_source_uri.startswith("hubspot"):
        return _cannot(
            "crm",
            now,
            "the CRM is read as an export folder",
            "delete the contact in the tool that writes the export; pulls leave it out until then",
        )
    host = urlsplit(settings.crm_source_uri).hostname or "api.hubapi.com"
    if settings.is_sandbox and host not in LOOPBACK:
        return _cannot(
            "hubspot",
            now,
            "LIFECYCLE_ENV is sandbox: nothing is asked of anybody off this machine",
            "delete the contact for good in HubSpot, or erase with LIFECYCLE_ENV=production",
        )
    return _step("hubspot", now, payload=json.dumps(sorted(person.of(Kind.CONTACT))))


def _do(settings: Settings, ledger: Ledger, step: ErasureStep) -> ErasureStep:
    """Do one step; returns its receipt."""
    payload = step.payload or "{}"
    match step.system:
        case "ledger":
            counts = ledger.delete_person(Person.from_json(payload))
            return _done(
                step, counts, "rows deleted; keyed hashes refuse the addresses from now on"
            )
        case "warehouse":
            index = ledger.erased_index()
            assert index is not None  # noqa: S101 - this erasure is in it
            try:
                counts = delete_from_warehouse(settings, Person.from_json(payload), index)
            except WarehouseBusyError as error:
                return _failed(step, str(error), _AGAIN)
            return _done(step, counts, "rows deleted, the file written anew")
        case "published":
            try:
                size = republish(settings)
            except WarehouseBusyError as error:
                return _failed(step, str(error), _AGAIN)
            return _done(step, {}, "replaced" if size else "nothing was published yet")
        case "reports":
            folders = [settings.data_docs_path, settings.home / "dbt"]
            files = delete_reports(
                [folder for folder in folders if folder.exists()], Person.from_json(payload)
            )
            return _done(
                step, {"files": files}, "pages that named the person deleted; runs write them anew"
            )
        case "sendgrid":
            return _answered(
                step,
                erase_at_sendgrid(
                    ledger,
                    json.loads(payload),
                    api_key=settings.sendgrid_api_key,
                    base_url=settings.sendgrid_base_url,
                ),
            )
        case "meta_custom_audience":
            emails, phones = json.loads(payload)
            config = MetaAudienceConfig(
                audience_id=settings.meta_audience_id,
                access_token=settings.meta_access_token,
                base_url=settings.meta_base_url,
            )
            return _answered(
                step, erase_at_meta(ledger, single_identifiers(emails, phones), config)
            )
        case "hubspot":
            crm = parse_crm_uri(
                settings.crm_source_uri, access_token=settings.hubspot_access_token or None
            )
            assert crm.hubspot is not None  # noqa: S101 - the step was planned for HubSpot
            return _answered(
                step,
                erase_at_hubspot(
                    ledger,
                    json.loads(payload),
                    access_token=crm.hubspot.access_token,
                    base_url=crm.hubspot.base_url,
                ),
            )
        case _:
            raise ValueError(f"nobody erases {step.system!r}")


def _done(step: ErasureStep, counts: Mapping[str, int], detail: str) -> ErasureStep:
    kept = {name: rows for name, rows in counts.items() if rows}
    return replace(step, status="done", counts=kept, detail=detail, next_step=None)


def _failed(step: ErasureStep, detail: str, next_step: str) -> ErasureStep:
    return replace(step, status="failed", detail=detail, next_step=next_step)


def _answered(step: ErasureStep, answered: Answered) -> ErasureStep:
    if not answered.is_done:
        return _failed(step, answered.detail, answered.next_step or _AGAIN)
    return _done(step, {"requests": answered.calls}, answered.detail)


def _settle_ledger_file(ledger: Ledger, erasure_id: str, now: datetime) -> None:
    (step,) = (step for step in ledger.read_erasure(erasure_id).steps if step.system == LEDGER_FILE)
    receipt = _done(step, {}, "rewritten without what was deleted")
    ledger.settle_erasure_step(replace(receipt, updated_at=now))
    if not ledger.compact():
        receipt = _failed(step, "another program reads the ledger", _AGAIN)
        ledger.settle_erasure_step(replace(receipt, updated_at=now))


# Receipts -------------------------------------------------------------------------------------


def write_receipt(reports: Path, erasure: Erasure) -> Path:
    """Write an erasure's receipts as JSON, whole or not at all; they name nobody."""
    folder = reports / "erasures"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{erasure.erasure_id}.json"
    document = {
        "erasure_id": erasure.erasure_id,
        "requested_at": erasure.requested_at.isoformat(),
        "finished_at": erasure.finished_at.isoformat() if erasure.finished_at else None,
        "receipts": [
            {
                "system": step.system,
                "status": step.status,
                "at": step.updated_at.isoformat(),
                "what": step.detail,
                "rows": dict(step.counts),
                "next_step": step.next_step,
            }
            for step in erasure.steps
        ],
    }
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
    return path
