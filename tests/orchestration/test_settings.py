"""Settings: what is read from where, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from activations.channels.registry import CHANNELS
from orchestration.lib.settings import SETTINGS, SettingsError, read_settings

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = {
    "GA4_EXPORT_URI": "/data/ga4",
    "ADMIN_DATABASE_URL": "postgresql+psycopg2://reader:hunter2@db/admin",
    "CRM_SOURCE_URI": "/data/crm",
}
PRODUCTION = {
    **SOURCES,
    "LIFECYCLE_ENV": "production",
    "GATEWAY_BASE_URL": "https://go.shop.example",
    "GATEWAY_SECRET": "s3cret",
}


def test_defaults_are_the_sandbox_and_the_demo_world() -> None:
    settings = read_settings({})
    assert settings.is_sandbox
    assert settings.uses_demo
    assert settings.ledger_url.endswith("ledger.sqlite")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("TENANT_TIMEZONE=Asia/Dubai\nDEMO_PEOPLE=100\n")
    settings = read_settings({"DEMO_PEOPLE": "300"}, dotenv=dotenv)
    assert (settings.tenant_timezone, settings.demo_people) == ("Asia/Dubai", 300)


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    written = [line.split("=")[0] for line in lines if line and not line.startswith("#")]
    assert written == [setting.name for setting in SETTINGS]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"LIFECYCLE_HOMEE": "x"}, "LIFECYCLE_HOME"),
        ({"WHATSAPP_TOKEN": "x"}, "WHATSAPP_TOKEN"),
        ({"LIFECYCLE_ENV": "staging"}, "LIFECYCLE_ENV"),
        ({"LIFECYCLE_MEMORY": "lots"}, "LIFECYCLE_MEMORY"),
        ({"TENANT_TIMEZONE": "Asia/Bombay2"}, "TENANT_TIMEZONE"),
        ({"DEMO_PEOPLE": "many"}, "DEMO_PEOPLE"),
        ({"MAX_SENDS_PER_RUN": "-1"}, "MAX_SENDS_PER_RUN"),
        ({"GA4_EXPORT_URI": "/data"}, "ADMIN_DATABASE_URL"),
        ({**SOURCES, "CRM_SOURCE_URI": "hubspot://api.hubapi.com"}, "HUBSPOT_ACCESS_TOKEN"),
        ({**SOURCES, "HUBSPOT_ACCESS_TOKEN": "x"}, "HUBSPOT_ACCESS_TOKEN"),
        ({**SOURCES, "GA4_BIGQUERY_ENDPOINT": "http://127.0.0.1"}, "GA4_BIGQUERY_ENDPOINT"),
        ({"WHATSAPP_BASE_URL": "https://graph.facebook.com"}, "WHATSAPP_BASE_URL"),
        ({"LIFECYCLE_ENV": "production"}, "GA4_EXPORT_URI"),
        ({**PRODUCTION, "WHATSAPP_ACCESS_TOKEN": "x"}, "WHATSAPP_PHONE_NUMBER_ID"),
    ],
)
def test_unknown_malformed_or_contradictory_settings_are_named(
    environment: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(environment)


def test_an_unknown_name_in_the_file_is_named_with_its_nearest_neighbour(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("SENDGRID_KEY=abc\n")
    with pytest.raises(SettingsError, match=r"SENDGRID_KEY.*SENDGRID_API_KEY"):
        read_settings({}, dotenv=dotenv)


def test_secrets_never_show_in_a_repr() -> None:
    settings = read_settings(PRODUCTION)
    assert "hunter2" not in repr(settings)
    assert "s3cret" not in repr(settings)


def test_production_has_no_credentials_by_default() -> None:
    settings = read_settings(PRODUCTION)
    assert settings.whatsapp_access_token == ""
    assert settings.whatsapp_base_url == "https://graph.facebook.com"


def test_no_channel_can_leave_this_machine_in_the_sandbox() -> None:
    prefixes = {
        setting.name.split("_")[0]: setting.needed_by for setting in SETTINGS if setting.needed_by
    }
    assert set(CHANNELS) <= set(prefixes.values()), "a channel without settings of its own"
    for prefix in prefixes:
        name = f"{prefix}_BASE_URL"
        assert name in {setting.name for setting in SETTINGS}, f"{name} is missing"
        read_settings({name: "http://127.0.0.1:9000"})
        with pytest.raises(SettingsError, match=name):
            read_settings({name: "https://real.example"})
