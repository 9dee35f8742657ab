"""The steps of one run, Dagster-free: pull, judge, decide, send, settle, publish.

Each is a function of the run (`Run`) and does one thing; the Dagster assets are thin shells around them and say
what depends on what. The order of a run is written in the assets' dependencies, nowhere else.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from activations.audiences import AudienceReport, sync_audience
from activations.audiences.meta_custom_audience import MetaAudienceConfig, MetaCustomAudience
from activations.channels.email import EmailConfig
from activations.channels.registry import build_channel
from activations.channels.whatsapp import WhatsAppConfig
from activations.ledger import Ledger
from activations.rows import Decision, MessageRow
from activations.runner import SendLimits, SendReport, record_decisions, send_messages
from activations.templates.content import Content, LinkSettings
from activations.templates.loader import load_templates
from data_contracts.docs import build_data_docs, page_of
from data_contracts.loader import load_contracts
from data_contracts.models import Contract
from data_contracts.validator import ContractResult, validate_all, warm_up
from orchestration.demo.world import AdvanceReport
from orchestration.lib.builds import plan_build, record_build
from orchestration.lib.dbt import DbtProject, NodeResult
from orchestration.lib.erasure import carry_out
from orchestration.lib.erasure_key import open_ledger
from orchestration.lib.ledger_pull import load_ledger
from orchestration.lib.outside import Outside, open_outside, play_demo
from orchestration.lib.settings import Settings
from orchestration.lib.warehouse import open_warehouse, publish
from orchestration.sources import admin, crm, ga4
from orchestration.sources.landing import PullResult

_log = logging.getLogger(__name__)

# A run this far behind real time decides about the past: production tells nobody.
LATE_RUN = timedelta(hours=2)
AUDIENCE = "lead_hot"
# The payload_hash macro on a constant: an engine that hashes otherwise is seen before it re-sends
# everybody.
CANARY_SQL = "cast(cast(hash('canary', 'canary') as hugeint) - 9223372036854775808 as bigint)"


class RunBusyError(Exception):
    """Another run is going on in this home. Wait for it; two runs never share a warehouse."""


@contextmanager
def only_run(home: Path) -> Iterator[None]:
    """Hold the home's run lock; the operating system releases it even after a kill.

    Raises:
        RunBusyError: Another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "run.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise RunBusyError(
                f"a run is already going on in {home.name}/ (process {holder}): wait for it to end, then run again"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


@dataclass(kw_only=True)
class Run:
    """Everything a step needs, open for as long as the process runs steps.

    Attributes:
        settings: As the process started with.
        outside: Where channels are.
        ledger: The operational database.
        dbt: The dbt project bound to this warehouse.
        say: Told in a few words what begins now, for somebody who waits.
        demo_report: What happened in the demo world before this run.
    """

    settings: Settings
    outside: Outside
    ledger: Ledger
    dbt: DbtProject
    say: Callable[[str], None] = field(default=lambda _: None, repr=False)
    demo_report: AdvanceReport | None = field(default=None, repr=False)

    def connect(self) -> Any:
        """Open the warehouse for writing; a context manager."""
        return open_warehouse(self.settings.warehouse_path, memory=self.settings.memory)


@contextmanager
def open_run(settings: Settings, outside: Outside | None = None) -> Iterator[Run]:
    """Open the ledger, the channels and dbt for runs of this process.

    Args:
        settings: The settings.
        outside: Channels somebody else opened, or None to open them here.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    # The import of Great Expectations takes many seconds; sources are read meanwhile.
    warm_up()
    with ExitStack() as stack:
        ledger = open_ledger(settings)
        stack.callback(ledger.close)
        yield Run(
            settings=settings,
            outside=outside or stack.enter_context(open_outside(settings, ledger)),
            ledger=ledger,
            dbt=DbtProject(
                warehouse=settings.warehouse_path,
                target=settings.home / "dbt",
                memory=settings.memory,
            ),
        )


def finish_erasures(run: Run) -> None:
    """Do what is left of erasures that a kill or a provider's failure left open, before anything is pulled.

    A run that only decides does it too: it tells nobody anything, it has people forgotten.
    """
    for erasure in carry_out(run.outside.settings, run.ledger, now=datetime.now(UTC), say=run.say):
        for step in erasure.steps:
            if step.status == "failed":
                _log.warning(
                    "erasure %s is not finished at %s: %s",
                    erasure.erasure_id,
                    step.system,
                    step.detail,
                )


# Pull ---------------------------------------------------------------------------------------


def pull_source(run: Run, source: str, as_of: datetime) -> list[PullResult]:
    """Bring one source's raw tables up to date.

    Args:
        run: The run.
        source: `ga4`, `admin`, `crm` or `ledger`.
        as_of: The run's moment.

    Raises:
        SourceError: Some or all of it could not be read; what was there stays.
    """
    run.say(f"pulling {source}")
    if source == "ledger":
        with run.connect() as connection:
            return load_ledger(connection, run.ledger)
    settings, report = play_demo(run.outside, as_of)
    run.demo_report = report or run.demo_report
    erased = run.ledger.erased_index()
    with run.connect() as connection:
        if source == "ga4":
            return ga4.pull(
                connection,
                ga4.Ga4Config(
                    uri=settings.ga4_export_uri, endpoint=settings.ga4_bigquery_endpoint or None
                ),
                as_of=as_of,
                erased=erased,
            )
        if source == "admin":
            return admin.pull(
                connection,
                admin.AdminConfig(
                    url=settings.admin_database_url, tenant_timezone=settings.tenant_timezone
                ),
                as_of=as_of,
                erased=erased,
            )
        if source == "crm":
            return crm.pull(
                connection,
                crm.parse_crm_uri(
                    settings.crm_source_uri, access_token=settings.hubspot_access_token or None
                ),
                as_of=as_of,
                erased=erased,
            )
    raise ValueError(f"pull_source has no branch for {source!r}")


# Contracts ----------------------------------------------------------------------------------


@cache
def all_contracts() -> tuple[Contract, ...]:
    """Return every contract, read once a process: checking that their SQL binds takes most of a second."""
    return load_contracts()


def contracts_of(layer: str, source: str | None = None) -> tuple[Contract, ...]:
    """Return the contracts of `raw` or `sync` tables, of one source when named."""
    return tuple(
        contract
        for contract in all_contracts()
        if contract.table.startswith(f"{layer}.")
        and (source is None or contract.name.startswith(f"{source}_"))
    )


def judge_tables(
    run: Run, contracts: Sequence[Contract], as_of: datetime
) -> tuple[ContractResult, ...]:
    """Judge tables by their contracts, bring their quarantine up to date and write their pages."""
    run.say(f"judging {len(contracts)} contracts")
    with run.connect() as connection:
        results = validate_all(connection, contracts, as_of=as_of)
    build_data_docs(results, run.settings.data_docs_path, tables=[c.table for c in all_contracts()])
    return results


def data_docs_url(run: Run, table: str) -> str:
    """Return where `make ui` serves the page of a table's contract."""
    page = page_of(run.settings.data_docs_path, table).relative_to(run.settings.reports_path)
    return f"http://127.0.0.1:{run.settings.reports_port}/{page.as_posix()}"


# Models -------------------------------------------------------------------------------------


def build_models(
    run: Run,
    as_of: datetime,
    *,
    accept_merges: bool = False,
    is_full: bool = False,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> list[NodeResult]:
    """Build models and run their tests; unit tests are for development and stay out of runs.

    A build of everything up to the decisions goes on from the last one where it may, and is remembered when it
    succeeds.
    """
    zone = run.settings.tenant_timezone
    with run.connect() as connection:
        plan = plan_build(connection, as_of=as_of, timezone=zone, is_full=is_full)
    what = " ".join(select) or "all up to the decisions"
    run.say(f"building models ({what}{f', anew: {plan.reason}' if plan.reason else ''})")
    results = run.dbt.build(
        as_of=as_of,
        timezone=zone,
        accept_merges=accept_merges,
        select=select,
        exclude=exclude,
        is_full=plan.is_full,
    )
    if not select and all(result.is_good for result in results):
        with run.connect() as connection:
            record_build(connection, plan)
    return results


# Decide and send ----------------------------------------------------------------------------


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[Mapping[str, Any]]:
    result = connection.execute(f"select * from {table}")
    names = [column[0] for column in result.description or ()]
    while chunk := result.fetchmany(5_000):
        for row in chunk:
            yield dict(zip(names, row, strict=True))


def may_send(run: Run, as_of: datetime, *, now: datetime | None = None) -> str | None:
    """Say why this run must not tell anybody anything, or None when it may.

    A production run about a moment long past only decides: people are told now or not at all.
    """
    if run.settings.is_sandbox:
        return None
    late = (now or datetime.now(UTC)) - as_of
    if abs(late) > LATE_RUN:
        return f"the run is about {as_of:%Y-%m-%d %H:%M} UTC, not about now"
    return None


def write_decisions(run: Run, as_of: datetime) -> Counter[tuple[str, str]]:
    """Record this run's decisions in the ledger; returns how many of each (outcome, reason)."""
    run.say("recording decisions")
    with run.connect() as connection:
        planned = {
            row["intent_key"]: row["variables"]
            for row in _rows(connection, "decisions.int_planned_messages")
        }
        decisions = [
            Decision.from_mapping({**row, "variables": planned.get(row["intent_key"])})
            for row in _rows(connection, "decisions.int_decisions")
        ]
    record_decisions(run.ledger, decisions, as_of, clock=run.outside.clock_at(as_of))
    return Counter((row.outcome, row.reason or "") for row in decisions)


def channel_config(channel: str, settings: Settings) -> object | None:
    """Return what a channel needs to be built, or None when it has no credentials.

    Raises:
        ValueError: Nobody said which settings the channel takes.
    """
    if channel == "whatsapp":
        if not settings.whatsapp_access_token:
            return None
        return WhatsAppConfig(
            phone_number_id=settings.whatsapp_phone_number_id,
            access_token=settings.whatsapp_access_token,
            base_url=settings.whatsapp_base_url,
        )
    if channel == "email":
        if not settings.sendgrid_api_key:
            return None
        return EmailConfig(
            api_key=settings.sendgrid_api_key,
            from_email=settings.sendgrid_from_email,
            from_name=settings.sendgrid_from_name,
            base_url=settings.sendgrid_base_url,
        )
    raise ValueError(f"channel_config has no branch for {channel!r}")


def send_channel(
    run: Run,
    channel: str,
    as_of: datetime,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> SendReport | None:
    """Send the planned messages of one channel; None when the channel has no credentials."""
    run.say(f"sending on {channel}")
    settings = run.outside.settings
    config = channel_config(channel, settings)
    if config is None:
        return None
    with run.connect() as connection:
        rows = [
            MessageRow.from_mapping(row)
            for row in _rows(connection, f"sync.sync_{channel}_messages")
        ]
    return send_messages(
        run.ledger,
        build_channel(channel, config),
        rows,
        content=Content(
            templates=load_templates(),
            links=LinkSettings(
                gateway_url=settings.gateway_base_url, secret=settings.gateway_secret
            ),
            brand_name=settings.sendgrid_from_name,
        ),
        run_as_of=as_of,
        clock=run.outside.clock_at(as_of),
        limits=SendLimits(max_messages=settings.max_sends_per_run),
        on_progress=on_progress,
    )


def send_audience(run: Run, as_of: datetime) -> AudienceReport | None:
    """Bring the ad platform's audience to what the segment is now; None without credentials."""
    run.say("syncing the audience")
    settings = run.outside.settings
    if not settings.meta_access_token:
        return None
    with run.connect() as connection:
        desired = connection.execute(
            "select member_key, email_sha256, phone_sha256, payload_hash from sync.sync_meta_custom_audience"
        ).to_arrow_table()
        canary = connection.execute(f"select {CANARY_SQL}").fetchone()
    assert canary is not None  # noqa: S101 - a constant always has a row
    return sync_audience(
        run.ledger,
        MetaCustomAudience(
            MetaAudienceConfig(
                audience_id=settings.meta_audience_id,
                access_token=settings.meta_access_token,
                base_url=settings.meta_base_url,
            )
        ),
        desired,
        audience_key=AUDIENCE,
        run_as_of=as_of,
        clock=run.outside.clock_at(as_of),
        engine=f"duckdb {duckdb.__version__}",
        canary_hash=int(canary[0]),
    )


# Publish ------------------------------------------------------------------------------------


def publish_tables(run: Run) -> int:
    """Replace the copy people read; returns its size in bytes."""
    run.say("publishing")
    return publish(run.settings.warehouse_path, run.settings.published_path)
