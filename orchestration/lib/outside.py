"""The world beyond the engine, as one run sees it: where channels are, and who answers.

In production that is the providers and a gateway somebody runs. In the sandbox it is the emulators and a gateway
on this machine, started here when no address was given (`lifecycle ui` starts them once and gives theirs).
The demo world belongs here too: it plays the sources, and people's reactions through the emulators.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from activations.clock import Clock, FixedClock, SystemClock
from activations.gateway.config import GatewayConfig
from activations.gateway.server import running_gateway
from activations.ledger import Ledger
from activations.sandbox.client import SandboxClient
from activations.sandbox.config import SandboxConfig, load_templates
from activations.sandbox.server import running_sandbox
from activations.templates.loader import FOLDER as TEMPLATES
from orchestration.demo.outside import HttpSandbox
from orchestration.demo.world import AdvanceReport, World
from orchestration.lib.settings import Settings

# A demo world made now has lived this long already when its first run looks at it.
DEMO_HISTORY = timedelta(hours=1)
# Days of GA4 a new demo world has: enough for people to have gone silent, few enough to load at once.
DEMO_GA4_DAYS = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Where the channels of a run are.

    Attributes:
        settings: The settings with every channel's base URL filled in.
        sandbox: The emulators' control API, or None in production.
        clock: What time it is for whoever is written to; None means real time.
    """

    settings: Settings
    sandbox: SandboxClient | None = None
    clock: FixedClock | None = field(default=None, repr=False)

    def clock_at(self, as_of: datetime) -> Clock:
        """Return the clock a run at `as_of` sends by: real time in production, its own moment in the sandbox."""
        if not self.settings.is_sandbox:
            return SystemClock()
        if self.clock is not None and as_of > self.clock.now():
            self.clock.advance_to(as_of)
        return FixedClock(as_of)


@contextmanager
def open_outside(settings: Settings, ledger: Ledger) -> Iterator[Outside]:
    """Provide the channels for as long as the block runs.

    Args:
        settings: The settings of this process.
        ledger: Where the gateway lands what comes back.
    """
    if not settings.is_sandbox:
        yield Outside(settings=settings)
        return
    if settings.whatsapp_base_url:
        with SandboxClient(settings.whatsapp_base_url) as client:
            yield Outside(settings=settings, sandbox=client)
        return
    with start_sandbox(
        settings, ledger, clock=FixedClock(datetime(2000, 1, 1, tzinfo=UTC))
    ) as outside:
        yield outside


@contextmanager
def start_sandbox(
    settings: Settings, ledger: Ledger, *, clock: FixedClock | None = None, gateway_port: int = 0
) -> Iterator[Outside]:
    """Start the emulators and a gateway on this machine.

    Args:
        settings: The settings of this process; must be those of the sandbox.
        ledger: Where the gateway lands what comes back.
        clock: Simulated time for the gateway; real time when None.
        gateway_port: Port of the gateway, 0 for a free one.
    """
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            running_sandbox(
                SandboxConfig(
                    whatsapp_token=settings.whatsapp_access_token,
                    whatsapp_app_secret=settings.whatsapp_app_secret,
                    whatsapp_phone_number_ids=frozenset({settings.whatsapp_phone_number_id}),
                    sendgrid_api_key=settings.sendgrid_api_key,
                    meta_token=settings.meta_access_token,
                    templates=load_templates(TEMPLATES / "whatsapp"),
                )
            )
        )
        client = stack.enter_context(SandboxClient(sandbox.base_url))
        gateway = stack.enter_context(
            running_gateway(
                ledger,
                GatewayConfig(
                    link_secret=settings.gateway_secret,
                    whatsapp_app_secret=settings.whatsapp_app_secret,
                    whatsapp_verify_token=settings.whatsapp_verify_token,
                    sendgrid_public_key=client.fetch_sendgrid_public_key(),
                    brand_name=settings.sendgrid_from_name,
                    accepts_simulated_time=True,
                ),
                clock or SystemClock(),
                port=gateway_port,
            )
        )
        client.set_gateway(gateway.base_url)
        yield Outside(
            settings=replace(
                settings,
                gateway_base_url=settings.gateway_base_url or gateway.base_url,
                whatsapp_base_url=sandbox.base_url,
                sendgrid_base_url=sandbox.base_url,
                meta_base_url=sandbox.base_url,
            ),
            sandbox=client,
            clock=clock,
        )


def play_demo(outside: Outside, as_of: datetime) -> tuple[Settings, AdvanceReport | None]:
    """Bring the demo world to a moment, when it is what plays the sources.

    Creates the world at its first use. A world that is already later stays: runs look at it as of their own moment.

    Returns:
        The settings with the demo's sources filled in, and what happened in the world (None when nothing had to).
    """
    settings = outside.settings
    if not settings.uses_demo:
        return settings, None
    home = settings.demo_path
    if (home / "state").exists():
        world = World.open(home)
    else:
        world = World.create(
            home,
            people=settings.demo_people,
            seed=settings.demo_seed,
            start=as_of - DEMO_HISTORY,
            history_days=DEMO_GA4_DAYS,
        )
    report = None
    if as_of > world.now:
        with HttpSandbox(outside.settings.whatsapp_base_url) as people_side:
            report = world.advance(as_of, people_side)
    if outside.sandbox is not None:
        outside.sandbox.set_clock(as_of)
    return (
        replace(
            settings,
            ga4_export_uri=str(world.ga4_folder),
            admin_database_url=f"sqlite:///{world.admin_path}",
            crm_source_uri=str(world.crm_folder),
        ),
        report,
    )
