"""`lifecycle`: run without the UI, start the UI, look at segments, ask why.

Belongs here: arguments, words on the screen, exit codes. The work is in `orchestration.lib`. Heavy imports happen
inside the commands that need them, so `lifecycle --help` answers at once.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.lib.settings import Settings, SettingsError, read_settings
from orchestration.lib.warehouse import (
    WarehouseBusyError,
    WarehouseMissingError,
    open_published,
)

if TYPE_CHECKING:
    from activations.ledger import Erasure, Ledger
    from orchestration.lib.steps import Run
    from orchestration.lib.ticks import TickResult

EXIT_SETTINGS = 2
EXIT_FAILED = 1
DEMO_LAST_HOUR = 19


class Instant(click.ParamType):
    """An instant on the command line: ISO, with a zone; without one it is the tenant's wall clock."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read the text; an instant without a zone is read in TENANT_TIMEZONE."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an ISO instant such as 2026-11-01T10:00+05:30", param, ctx)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=_settings().zone)
        return instant.astimezone(UTC)


def _settings() -> Settings:
    try:
        return read_settings()
    except SettingsError as error:
        click.echo(f"Settings: {error}", err=True)
        sys.exit(EXIT_SETTINGS)


@contextmanager
def _plain_errors(also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what a person can act on into one line; everything else keeps its trace."""
    from activations.errors import ActivationError
    from orchestration.lib.why import UnknownCustomerError

    plain = (WarehouseMissingError, WarehouseBusyError, UnknownCustomerError, ActivationError)
    try:
        yield
    except (*plain, *also) as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_FAILED)


class Progress:
    """One line that says what is going on and for how long; plain lines where there is no terminal."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._last = ""

    def __call__(self, what: str) -> None:
        """Say what begins now."""
        seconds = time.monotonic() - self._began
        if sys.stderr.isatty():
            line = f"  {seconds:5.0f} s  {what}"
            click.echo("\r" + line.ljust(len(self._last)), nl=False, err=True)
            self._last = line
        else:
            click.echo(f"  {seconds:5.0f} s  {what}", err=True)

    def done(self) -> None:
        """Leave the line clean."""
        if self._last:
            click.echo("\r" + " " * len(self._last) + "\r", nl=False, err=True)
            self._last = ""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Warehouse-native lifecycle marketing: decided in SQL, sent once, measured honestly."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Great Expectations turns its own loggers up to INFO; the handler has the last word.
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.WARNING)


@main.command()
@click.option("--as-of", type=Instant(), help="The moment to decide about (default: now).")
@click.option(
    "--no-send", is_flag=True, help="Decide and show; tell nobody, leave the ledger alone."
)
@click.option(
    "--accept-merges",
    is_flag=True,
    help="Merge customers although the growth alarm tripped: somebody looked.",
)
@click.option("--full", is_flag=True, help="Build everything anew, not only what changed.")
def run(as_of: datetime | None, no_send: bool, accept_merges: bool, full: bool) -> None:
    """One whole run: pull, judge, decide, send, settle, publish."""
    settings = _settings()
    moments = [as_of or datetime.now(UTC)]
    _run_ticks(settings, moments, no_send=no_send, accept_merges=accept_merges, is_full=full)


@main.command()
@click.option("--ticks", default=3, show_default=True, help="Hourly runs to play.")
@click.option("--every", default=4, show_default=True, help="Hours between two runs.")
def demo(ticks: int, every: int) -> None:
    """Play the demo world for several hours against the emulated channels."""
    settings = _settings()
    if not settings.is_sandbox or not settings.uses_demo:
        click.echo("Settings: the demo needs LIFECYCLE_ENV=sandbox and no source set.", err=True)
        sys.exit(EXIT_SETTINGS)
    # The last evening in the customers' zone and the hours before it: a day with its quiet morning, not a night.
    now = datetime.now(settings.zone)
    end = now.replace(hour=DEMO_LAST_HOUR, minute=50, second=0, microsecond=0)
    if end > now:
        end -= timedelta(days=1)
    moments = [
        (end - timedelta(hours=every * back)).astimezone(UTC) for back in reversed(range(ticks))
    ]
    _run_ticks(settings, moments)


@main.command(name="folder")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--as-of", type=Instant(), help="The moment (default: the latest in the data).")
@click.option("--no-send", is_flag=True, help="Decide and show; tell nobody.")
def folder(source: Path, as_of: datetime | None, no_send: bool) -> None:
    """One run on a folder with ga4/, admin/admin.sqlite and crm/ instead of the configured sources."""
    from dataclasses import replace

    missing = [
        name for name in ("ga4", "admin/admin.sqlite", "crm") if not (source / name).exists()
    ]
    if missing:
        click.echo(
            f"{source} has no {missing[0]}: it must hold ga4/, admin/admin.sqlite and crm/.",
            err=True,
        )
        sys.exit(EXIT_FAILED)
    settings = replace(
        _settings(),
        ga4_export_uri=str(source / "ga4"),
        admin_database_url=f"sqlite:///{(source / 'admin' / 'admin.sqlite').resolve()}",
        crm_source_uri=str(source / "crm"),
    )
    _run_ticks(settings, [as_of] if as_of else [], no_send=no_send)


def _run_ticks(
    settings: Settings,
    moments: list[datetime],
    *,
    no_send: bool = False,
    accept_merges: bool = False,
    is_full: bool = False,
) -> None:
    progress = Progress()
    progress("starting")
    from orchestration.lib.steps import open_run
    from orchestration.lib.summary import describe_state, describe_tick
    from orchestration.lib.ticks import open_instance, run_tick

    results: list[TickResult] = []
    with open_instance(settings.home) as instance, open_run(settings) as opened, _plain_errors():
        opened.say = progress
        if not moments:
            moments = [_latest_moment(opened, progress)]
        for moment in moments:
            result = run_tick(
                opened,
                instance,
                moment,
                no_send=no_send,
                accept_merges=accept_merges,
                is_full=is_full,
            )
            progress.done()
            results.append(result)
            click.echo(f"\n{_local(settings, moment)}   run {result.run_id[:8]}")
            if opened.demo_report is not None:
                report = opened.demo_report
                click.echo(
                    f"  in the demo world: {report.visits} visits, {report.quotes} quotes, "
                    f"{report.orders} orders, {report.missed_pickups} missed pickups, {report.opt_outs} opt-outs"
                )
                opened.demo_report = None
            for table, reason in result.warned:
                click.echo(f"  worth a look: {table}: {reason}", err=True)
            if result.succeeded:
                for line in describe_tick(settings.published_path, moment):
                    click.echo(f"  {line}")
            else:
                _show_failure(result)
                break
    if results[-1].succeeded:
        click.echo("\nWhere everybody is now")
        for line in describe_state(settings.published_path, moments[0], moments[-1]):
            click.echo(f"  {line}")
        _show_next(settings)
    else:
        sys.exit(EXIT_FAILED)


def _latest_moment(opened: Run, progress: Progress) -> datetime:
    from orchestration.lib.steps import pull_source
    from orchestration.sources.latest import read_latest_moment

    far = datetime(2100, 1, 1, tzinfo=UTC)
    progress("looking for the latest moment in the data")
    for source in ("ga4", "admin", "crm"):
        pull_source(opened, source, far)
    with opened.connect() as connection:
        latest = read_latest_moment(connection, tenant_timezone=opened.settings.tenant_timezone)
    if latest is None:
        click.echo("The data shows no moment at all: give one with AS_OF or --as-of.", err=True)
        sys.exit(EXIT_FAILED)
    return latest


def _local(settings: Settings, moment: datetime) -> str:
    return moment.astimezone(settings.zone).strftime("%a %d %b %Y %H:%M %Z")


def _show_failure(result: TickResult) -> None:
    for table, reason in result.blocked:
        click.echo(f"  BLOCKED  {table}: {reason}", err=True)
    for step, reason in result.failures:
        click.echo(f"  FAILED   {step}: {reason}", err=True)
    if result.skipped:
        click.echo(f"  not run: {', '.join(result.skipped)}", err=True)
    click.echo(
        "  What was published before stays. Nothing that depends on the failed part was sent.",
        err=True,
    )
    click.echo(f"  Details: `make ui`, run {result.run_id[:8]}.", err=True)


def _show_next(settings: Settings) -> None:
    home = _short(settings.home)
    places = {
        "make ui": f"the asset graph, runs, checks: http://127.0.0.1:{settings.ui_port}",
        "lifecycle segments list": "sizes; `lifecycle segments show lead_hot` for its people",
        "lifecycle why CUSTOMER": "why somebody got a message, or did not",
        f"{home}/published.duckdb": "every table, for any DuckDB client",
        f"{home}/reports/": "data docs",
    }
    width = max(map(len, places))
    click.echo("\nWhere to look next")
    for place, what in places.items():
        click.echo(f"  {place:{width}}  {what}")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@main.command()
def ui() -> None:
    """Start the Dagster webserver, its daemon, and the gateway; Ctrl-C stops all of them."""
    from orchestration.lib.launcher import serve_ui

    serve_ui(_settings())


@main.group()
def segments() -> None:
    """Look at segments."""


@segments.command(name="list")
def list_segments() -> None:
    """Every segment with its size, and why a dormant one has none."""
    settings = _settings()
    with _plain_errors(), open_published(settings.published_path) as connection:
        rows = connection.execute(
            "select key, size, owner, description, dormant_reason from marts.segments order by key"
        ).fetchall()
    for key, size, owner, description, dormant_reason in rows:
        dormant = f" (dormant: {dormant_reason})" if dormant_reason else ""
        click.echo(f"{key:26} {size:>8,}  {owner:12} {description}{dormant}")


@segments.command(name="show")
@click.argument("key")
@click.option("--limit", default=20, show_default=True, help="People to show.")
def show_segment(key: str, limit: int) -> None:
    """A segment's newest people, and why they are in it."""
    settings = _settings()
    with _plain_errors(), open_published(settings.published_path) as connection:
        found = connection.execute(
            "select description, size, dormant_reason from marts.segments where key = ?", [key]
        ).fetchone()
        if found is None:
            known = ", ".join(
                row[0]
                for row in connection.execute(
                    "select key from marts.segments order by 1"
                ).fetchall()
            )
            click.echo(f"no segment is called {key!r}: there are {known}", err=True)
            sys.exit(EXIT_FAILED)
        rows = connection.execute(
            """
            select members.customer_id, customers.display_name, customers.city, members.entered_at, members.context
            from marts.segment_membership as members
            left join marts.dim_customers as customers on members.customer_id = customers.customer_id
            where members.segment_key = ? order by members.entered_at desc, members.customer_id limit ?
            """,
            [key, limit],
        ).fetchall()
    click.echo(f"{key}: {found[0]}. {found[1]:,} people.")
    if found[2]:
        click.echo(f"  dormant: {found[2]}")
    for customer, name, city, entered, context in rows:
        since = f"{entered:%d %b %Y %H:%M}"
        click.echo(
            f"  {customer}  {(name or '-'):24.24} {(city or '-'):14.14} since {since} UTC  {context or ''}"
        )


@segments.command(name="new")
@click.argument("key")
@click.option("--owner", default="growth", show_default=True, help="Team that answers for it.")
@click.option("--description", default="Describe me in one sentence", help="What it is.")
def new_segment(key: str, owner: str, description: str) -> None:
    """Lay out segment KEY, ready to edit: model, description, unit test, list and catalogue."""
    from orchestration.lib.scaffold import ScaffoldError, lay_out_segment

    try:
        written = lay_out_segment(key, owner=owner, description=description)
    except ScaffoldError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_FAILED)
    for path in written:
        click.echo(f"  {_short(path)}")
    click.echo(f"Put the rule into {written[0].name}, then `make test` and `lifecycle run`.")


@main.command()
@click.argument("customer")
@click.argument("journey", required=False)
def why(customer: str, journey: str | None) -> None:
    """Why CUSTOMER got a message, or did not.

    CUSTOMER is a customer id, an account id, a phone (+91…), an e-mail or a full name.
    """
    settings = _settings()
    with _plain_errors():
        from orchestration.lib.why import explain

        for line in explain(settings.published_path, customer, journey):
            click.echo(line)


@main.command()
@click.argument("customer")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--as-of", type=Instant(), help="The moment of the request (default: now).")
def erase(customer: str, yes: bool, as_of: datetime | None) -> None:
    """Forget CUSTOMER: in every table, and at the providers that can.

    CUSTOMER is a customer id (a former one too), an account id, a phone as +91… or an e-mail; none is printed back.
    Shows first what would go. Every system gives a receipt, in reports/erasures/. What failed is tried again by
    the next run or by the same command, which does nothing to what is done; the exit code is 1 until then.

    Keyed hashes stay: pulls leave out rows a source still has, and nobody is written to at an erased address
    before they opt in again. docs/erasure.md says what goes where.
    """
    from orchestration.lib.erasure_key import open_ledger
    from orchestration.lib.outside import open_outside
    from orchestration.lib.steps import RunBusyError, only_run

    settings = _settings()
    progress = Progress()
    with _plain_errors((RunBusyError,)), only_run(settings.home):
        ledger = open_ledger(settings)
        try:
            with open_outside(settings, ledger) as outside:
                done = _erase(
                    outside.settings, ledger, customer, yes, as_of or datetime.now(UTC), progress
                )
        finally:
            ledger.close()
    progress.done()
    _show_receipts(done)
    click.echo(f"Receipts: {_short(settings.reports_path / 'erasures')}/{done.erasure_id}.json")
    if done.finished_at is None:
        click.echo("Not finished: run the same command again, or wait for the next run.", err=True)
        sys.exit(EXIT_FAILED)


def _erase(
    settings: Settings, ledger: Ledger, customer: str, yes: bool, now: datetime, progress: Progress
) -> Erasure:
    from orchestration.lib.erasure import begin_erasure, carry_out, plan_erasure
    from orchestration.lib.why import UnknownCustomerError

    # asked before, finished or not: whoever is gone from the warehouse is known by the hash
    before = ledger.find_erasure(customer)
    if before is not None and ledger.read_erasure(before).finished_at is None:
        carry_out(settings, ledger, now=now, say=progress)
        return ledger.read_erasure(before)
    progress("looking for everything about them")
    try:
        plan = plan_erasure(settings, ledger, customer, now=now)
    except UnknownCustomerError:
        if before is None:
            raise
        click.echo("Erased before; nothing was left to do.")
        return ledger.read_erasure(before)
    progress.done()
    for system, counts in plan.counts.items():
        click.echo(
            f"{system}: {sum(counts.values()):,} rows in {sum(map(bool, counts.values()))} tables"
        )
        for table, rows in sorted(counts.items()):
            if rows:
                click.echo(f"  {table:44} {rows:>9,}")
    asked = [step.system for step in plan.steps if step.status == "pending"]
    click.echo(f"then: {', '.join(asked[2:])}")
    if not yes:
        click.confirm("Erase all of it? This cannot be undone", abort=True)
    erasure_id = begin_erasure(ledger, plan, now=now)
    carry_out(settings, ledger, now=now, say=progress)
    return ledger.read_erasure(erasure_id)


def _show_receipts(erasure: Erasure) -> None:
    click.echo(f"Erasure {erasure.erasure_id}, asked {erasure.requested_at:%Y-%m-%d %H:%M} UTC")
    for step in erasure.steps:
        rows = sum(step.counts.values())
        counted = f" ({rows:,})" if rows else ""
        click.echo(f"  {step.system:22} {step.status:7} {step.detail or ''}{counted}")
        if step.next_step:
            click.echo(f"  {'':30} Next: {step.next_step}")


@main.command()
def unknowns() -> None:
    """Messages handed over whose answer never came, and what becomes of them."""
    from orchestration.lib.erasure_key import open_ledger

    with _plain_errors():
        ledger = open_ledger(_settings())
    try:
        found = ledger.list_unknown()
    finally:
        ledger.close()
    if not found:
        click.echo("No message is without an answer.")
    for attempt in found:
        click.echo(
            f"{attempt.attempt_id}  {attempt.channel:9} {attempt.journey_key}/{attempt.step_key}  "
            f"{attempt.customer_id}  since {attempt.claimed_at:%Y-%m-%d %H:%M} UTC  {attempt.error_detail or ''}"
        )
    if found:
        click.echo(
            f"{len(found)} in all. A receipt settles them; promotional and service ones are never sent again."
        )


if __name__ == "__main__":
    main()
