"""The GA4 BigQuery export as files: which tables exist at an instant, and what each holds.

Belongs here: nesting, export timing, what intraday and first exports lack. Does not belong here:
which events there are (``events.py``).

A day's files are a pure function of the world's rows and the clock, so writing them again after
a kill does no harm. A file appears whole: written under a hidden name, then renamed.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.demo import catalogue as cat
from orchestration.demo.admin_writer import device_seconds
from orchestration.demo.events import BOT, DENIED
from orchestration.demo.files import save_table
from orchestration.demo.frames import Frame
from orchestration.demo.mess import Mess
from orchestration.demo.people import People
from orchestration.demo.rng import Ints
from orchestration.demo.state import State

_TEXT, _LONG, _REAL = pa.string(), pa.int64(), pa.float64()


def _struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct([pa.field(name, kind) for name, kind in fields.items()])


def _texts(*names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names, _TEXT)


_VALUE = {"string_value": _TEXT, "int_value": _LONG, "float_value": _REAL, "double_value": _REAL}
_PARAM = _struct(key=_TEXT, value=_struct(**_VALUE))
_PROPERTY = _struct(key=_TEXT, value=_struct(**_VALUE, set_timestamp_micros=_LONG))
_PRIVACY = _struct(**_texts("analytics_storage", "ads_storage", "uses_transient_token"))
_LTV = _struct(revenue=_REAL, currency=_TEXT)
_DEVICE = _struct(
    **_texts("category", "mobile_brand_name", "mobile_model_name", "operating_system",
             "operating_system_version", "vendor_id", "advertising_id", "language",
             "is_limited_ad_tracking"),
    time_zone_offset_seconds=_LONG,
    web_info=_struct(**_texts("browser", "browser_version", "hostname")),
)  # fmt: skip
_GEO = _struct(**_texts("city", "country", "continent", "region", "sub_continent", "metro"))
_APP = _struct(**_texts("id", "version", "install_store", "firebase_app_id", "install_source"))
_TRAFFIC = _struct(**_texts("name", "medium", "source"))
_HOST = _struct(hostname=_TEXT)
_ECOMMERCE = _struct(
    total_item_quantity=_LONG, purchase_revenue_in_usd=_REAL, purchase_revenue=_REAL,
    refund_value=_REAL, unique_items=_LONG, transaction_id=_TEXT,
)  # fmt: skip
_ITEM = _struct(
    **_texts("item_id", "item_name", "item_brand", "item_variant", "item_category",
             "item_category2"),
    price=_REAL, quantity=_LONG, item_revenue=_REAL,
)  # fmt: skip
_COLLECTED = _struct(
    **_texts("manual_campaign_id", "manual_campaign_name", "manual_source", "manual_medium",
             "manual_term", "manual_content", "gclid", "dclid", "srsltid")
)  # fmt: skip

#: The export's columns, the example company's order and types.
SCHEMA = pa.schema(
    [
        ("event_date", _TEXT), ("event_timestamp", _LONG), ("event_name", _TEXT),
        ("event_params", pa.list_(_PARAM)), ("event_previous_timestamp", _LONG),
        ("event_value_in_usd", _REAL), ("event_bundle_sequence_id", _LONG),
        ("event_server_timestamp_offset", _LONG), ("user_id", _TEXT), ("user_pseudo_id", _TEXT),
        ("privacy_info", _PRIVACY), ("user_properties", pa.list_(_PROPERTY)),
        ("user_first_touch_timestamp", _LONG), ("user_ltv", _LTV), ("device", _DEVICE),
        ("geo", _GEO), ("app_info", _APP), ("traffic_source", _TRAFFIC), ("stream_id", _TEXT),
        ("platform", _TEXT), ("event_dimensions", _HOST), ("ecommerce", _ECOMMERCE),
        ("items", pa.list_(_ITEM)), ("collected_traffic_source", _COLLECTED),
        ("is_active_user", pa.bool_()), ("batch_event_index", _LONG), ("batch_page_id", _LONG),
        ("batch_ordering_id", _LONG),
    ]
)  # fmt: skip

_PARAM_NAMES = (
    "ga_session_id", "ga_session_number", "page_location", "page_title", "engagement_time_msec",
    "quote_value", "device_model", "category", "brand", "order_id", "source", "medium",
    "campaign", "consent_mode",
)  # fmt: skip
_SITE = "https://www.cashkr.com"
_LANDING = (cat.Event.SESSION_START, cat.Event.FIRST_VISIT, cat.Event.PAGE_VIEW)
_TRAFFIC_SOURCES = (
    ("search_brand", "cpc", "google"),
    ("(direct)", "(none)", "(direct)"),
    ("(organic)", "organic", "google"),
)
#: Rows reach the intraday table when they are this old.
_INTRADAY_DELAY = 15 * cat.MINUTE
_EXPORT_DELAY = 30 * cat.MINUTE
_INTRADAY, _FIRST, _SECOND, _LAST = 0, 1, 2, 3


def day_text(day: int) -> str:
    """Days since the epoch as ``YYYYMMDD``."""
    return (date(1970, 1, 1) + timedelta(days=int(day))).strftime("%Y%m%d")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _lookup(values: list[Any], index: Ints, kind: pa.DataType = _TEXT) -> pa.Array:
    """Values by index; negative indexes become NULL."""
    places = pa.array(index, mask=index < 0)
    return pa.array(values, kind).take(places)


def _nullable(values: NDArray[Any], null: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, mask=null)


class Ga4Writer:
    """Keeps one world's export folder as it would be at the world's clock."""

    __slots__ = ("folder", "mess", "people", "state")

    def __init__(self, folder: Path, state: State, people: People, mess: Mess) -> None:
        self.folder = folder
        self.state = state
        self.people = people
        self.mess = mess

    def write(self, before: int) -> list[str]:
        """Bring the folder from an earlier instant to the state's clock.

        Args:
            before: Epoch microseconds; files are taken to be right as of then.

        Returns:
            Names of the files written or removed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        events, now = self.state["events"], self.state.now
        changed: list[str] = []
        ready = np.flatnonzero(events["ready"])
        order = ready[np.lexsort((events["key"][ready], events["ts"][ready]))]
        days = events["day"][order]
        order = order[np.argsort(days, kind="stable")]
        days = events["day"][order]
        for day in np.unique(days).tolist():
            rows = order[np.searchsorted(days, day) : np.searchsorted(days, day, side="right")]
            changed += self._write_day(day, rows, before, now)
        return changed

    def _write_day(self, day: int, rows: Ints, before: int, now: int) -> list[str]:
        events = self.state["events"]
        first, vanishes, second, last = self.mess.exports(day)
        intraday = self.folder / f"events_intraday_{day_text(day)}.parquet"
        daily = self.folder / f"events_{day_text(day)}.parquet"
        changed = []
        exported = [moment for moment in (first, second, last) if moment <= now]
        if exported and exported[-1] > before:
            level = len(exported)
            chosen = rows[events["arrive"][rows] <= exported[-1] - _EXPORT_DELAY]
            if level == _FIRST:
                chosen = chosen[~events["late"][chosen]]
            if len(chosen):
                save_table(daily, self.table(chosen, level))
                changed.append(daily.name)
        if day * cat.DAY - cat.IST <= now < vanishes:
            fresh = ~events["late"][rows]
            until = fresh & (events["arrive"][rows] <= now - _INTRADAY_DELAY)
            known = fresh & (events["arrive"][rows] <= before - _INTRADAY_DELAY)
            if until.sum() != known.sum() or (until.any() and not intraday.exists()):
                save_table(intraday, self.table(rows[until], _INTRADAY))
                changed.append(intraday.name)
        elif intraday.exists():
            intraday.unlink()
            changed.append(intraday.name)
        return changed

    def finished(self, now: int) -> NDArray[np.bool_]:
        """Rows of days whose last re-export has been written."""
        days = self.state["events"]["day"]
        over = [day for day in np.unique(days).tolist() if self.mess.exports(day)[3] <= now]
        return np.isin(days, over)

    # ---- nesting -------------------------------------------------------------------------

    def table(self, rows: Ints, level: int) -> pa.Table:
        """Rows of the events frame as an export table.

        Args:
            rows: Positions in the frame, in file order.
            level: 0 intraday, 1 first export, 2 and 3 re-exports.
        """
        part = self.state["events"].take(rows)
        people, draws = self.people, self.people.draws
        size = len(part)
        key, person, ts, platform = part["key"], part["person"], part["ts"], part["platform"]
        bot, denied = part["source"] == BOT, part["source"] == DENIED
        human = np.where(bot, 0, person)
        anonymous = bot | denied
        web = platform == cat.Platform.WEB
        hidden = (
            draws.chance(0.14, "row/userless", key) if level < _SECOND else np.zeros(size, bool)
        )
        nobody = (part["user_id"] == 0) | hidden | denied
        user_ids = [
            None if null else str(value)
            for null, value in zip(nobody.tolist(), part["user_id"].tolist(), strict=True)
        ]
        unique, back = np.unique(part["device"], return_inverse=True)
        seconds = device_seconds(self.state, unique)
        pseudo = people.pseudo_ids(unique, seconds)
        bots = sorted({int(number) for number in person[bot].tolist()}, reverse=True)
        places = back.astype(np.int64)
        if bots:
            rank = {number: len(pseudo) + turn for turn, number in enumerate(bots)}
            pseudo += [f"{88_000_000 - 1 - number}.1700000000" for number in bots]
            places[bot] = [rank[int(number)] for number in person[bot].tolist()]
        early = level == _INTRADAY
        none_early = np.full(size, early) | bot
        desktop = web & people.is_desktop(human)
        ios = platform == cat.Platform.IOS
        session_key = human * 31 + part["session"]
        unset = draws.chance(0.065, "geo/unset", session_key)
        cities = [name for name, _, _ in cat.CITIES] + ["(not set)", "Ashburn"]
        city = np.where(bot, len(cities) - 1, np.where(unset, len(cities) - 2, people.city(human)))
        source = draws.choice([34, 33, 33], "traffic", human)
        campaign = part["campaign"].astype(np.int64)
        numbers = part["number"]
        transaction = [f"CK{number}" if number else None for number in numbers.tolist()]
        placed = numbers > 0
        micros_first = np.minimum(device_seconds(self.state, part["device"]) * cat.SECOND, ts)
        offset = people.clock_offset(human)
        app = _struct_of(
            _APP,
            id=_lookup(["com.cashkr.app"], np.where(web, -1, 0)),
            version=_lookup(["5.2.1"], np.where(web, -1, 0)),
        )
        columns: dict[str, pa.Array] = {
            "event_date": _lookup(
                [day_text(int(part["day"][0]))] if size else [""], np.zeros(size, dtype=np.int64)
            ),
            "event_timestamp": pa.array(ts, _LONG),
            "event_name": _lookup(list(cat.EVENT_NAMES), part["name"].astype(np.int64)),
            "event_params": self._params(part, level, bot, denied, web),
            "event_bundle_sequence_id": pa.array(
                np.where(bot, part["session_no"], key % 20_000_000), _LONG
            ),
            "event_server_timestamp_offset": _nullable(offset, bot, _LONG),
            "user_id": pa.array(user_ids, _TEXT),
            "user_pseudo_id": _lookup(pseudo, np.where(denied, -1, places)),
            "privacy_info": _struct_of(
                _PRIVACY,
                mask=bot,
                analytics_storage=_lookup(["Yes", "No"], denied.astype(np.int64)),
                ads_storage=_lookup(["Yes", "No"], denied.astype(np.int64)),
                uses_transient_token=_lookup(["No"], np.zeros(size, dtype=np.int64)),
            ),
            "user_properties": _properties(~nobody, ts),
            "user_first_touch_timestamp": _nullable(micros_first, anonymous, _LONG),
            "user_ltv": _struct_of(
                _LTV,
                mask=none_early,
                revenue=pa.array(np.zeros(size), _REAL),
                currency=_lookup(["USD"], np.zeros(size, dtype=np.int64)),
            ),
            "device": self._device(human, bot, web, desktop, ios),
            "geo": _struct_of(
                _GEO,
                city=_lookup(cities, city),
                country=_lookup(["India", "United States"], bot.astype(np.int64)),
                continent=_lookup(["Asia", "Americas"], bot.astype(np.int64)),
                sub_continent=_lookup(["Southern Asia"], np.where(bot, -1, 0)),
                metro=_lookup(["(not set)"], np.where(bot, -1, 0)),
            ),
            "app_info": _masked(app, _APP, bot),
            "traffic_source": _struct_of(
                _TRAFFIC,
                mask=none_early,
                **{
                    name: _lookup([row[place] for row in _TRAFFIC_SOURCES], source)
                    for place, name in enumerate(("name", "medium", "source"))
                },
            ),
            "stream_id": _lookup(list(cat.STREAM_IDS), platform.astype(np.int64)),
            "platform": _lookup([item.name for item in cat.Platform], platform.astype(np.int64)),
            "event_dimensions": _struct_of(_HOST, size=size, mask=bot),
            "ecommerce": _struct_of(
                _ECOMMERCE, mask=bot, transaction_id=pa.array(transaction, _TEXT)
            ),
            "items": self._items(part, placed),
            "collected_traffic_source": _struct_of(
                _COLLECTED,
                mask=bot,
                manual_campaign_name=self._campaigns(campaign),
                manual_source=_lookup(["crm"], np.where(campaign > 0, 0, -1)),
                manual_medium=_lookup(
                    list(cat.CHANNELS), np.where(campaign > 0, part["medium"], -1)
                ),
            ),
            "is_active_user": _nullable(~bot, np.full(size, early), pa.bool_()),
            "batch_event_index": _nullable(np.ones(size, dtype=np.int64), bot, _LONG),
            "batch_page_id": _nullable(ts // 1000, bot, _LONG),
            "batch_ordering_id": _nullable(np.ones(size, dtype=np.int64), bot, _LONG),
        }
        return pa.table(
            [columns.get(field.name, pa.nulls(size, field.type)) for field in SCHEMA],
            schema=SCHEMA,
        )

    def _campaigns(self, campaign: Ints) -> pa.Array:
        names = list(self.state.meta["campaigns"])
        return _lookup(names, np.where(campaign > 0, campaign, -1))

    def _device(
        self,
        person: Ints,
        bot: NDArray[np.bool_],
        web: NDArray[np.bool_],
        desktop: NDArray[np.bool_],
        ios: NDArray[np.bool_],
    ) -> pa.Array:
        known = np.where(bot, -1, 0)
        return _struct_of(
            _DEVICE,
            category=_lookup(["mobile", "desktop"], (desktop | bot).astype(np.int64)),
            operating_system=_lookup(
                ["Android", "iOS", "Windows", "Linux"],
                np.select([bot, desktop, ios], [3, 2, 1], 0),
            ),
            operating_system_version=_lookup(["14"], known),
            language=_lookup(list(cat.LANGUAGES), np.where(bot, -1, self.people.language(person))),
            is_limited_ad_tracking=_lookup(["No"], known),
            time_zone_offset_seconds=_lookup([19_800], known, _LONG),
            web_info=_struct_of(
                _DEVICE.field("web_info").type,
                browser=_lookup(
                    ["Chrome", "Safari", "HeadlessChrome"], np.select([bot, ios], [2, 1], 0)
                ),
                browser_version=_lookup(["126.0"], known),
                hostname=_lookup(["www.cashkr.com"], np.where(web, 0, -1)),
            ),
        )

    def _items(self, part: Frame, placed: NDArray[np.bool_]) -> pa.Array:
        rows = np.flatnonzero(placed)
        model = part["model"][rows].astype(np.int64) - 1
        price = part["price"][rows].astype(np.float64)
        values = _struct_of(
            _ITEM,
            item_id=_lookup([f"SKU{place:03d}" for place in range(len(cat.MODELS))], model),
            item_name=_lookup([item.name for item in cat.MODELS], model),
            item_brand=_lookup([item.brand for item in cat.MODELS], model),
            item_category=_lookup([item.category for item in cat.MODELS], model),
            price=pa.array(price, _REAL),
            quantity=pa.array(np.ones(len(rows), dtype=np.int64), _LONG),
            item_revenue=pa.array(price, _REAL),
        )
        return _lists(placed.astype(np.int64), values)

    def _params(
        self,
        part: Frame,
        level: int,
        bot: NDArray[np.bool_],
        denied: NDArray[np.bool_],
        web: NDArray[np.bool_],
    ) -> pa.Array:
        """``event_params`` in the tag's order."""
        draws = self.people.draws
        size, key, name = len(part), part["key"], part["name"]
        model = part["model"].astype(np.int64) - 1
        campaign = part["campaign"].astype(np.int64)
        medium = part["medium"].astype(np.int64)
        has_item, has_order = model >= 0, part["number"] > 0
        sessionless = denied | (name == cat.Event.APP_REMOVE)
        everyone = ~bot
        value = part["price"].astype(np.int64)
        typo = draws.unit("row/value/type", key)
        as_double = has_item & ~web & (typo < 0.045)
        as_text = has_item & ~as_double & (typo > 0.975) & (level < _SECOND)
        locations, location = self._locations(part, bot, model, campaign, medium)
        engaged = 800 + (draws.unit("row/engaged", key) * 29_000).astype(np.int64)
        present = {
            "ga_session_id": ~sessionless,
            "ga_session_number": ~sessionless & everyone,
            "page_location": web,
            "page_title": web & everyone,
            "engagement_time_msec": everyone,
            "quote_value": has_item,
            "device_model": has_item,
            "category": has_item,
            "brand": has_item,
            "order_id": has_order,
            "source": campaign > 0,
            "medium": campaign > 0,
            "campaign": campaign > 0,
            "consent_mode": denied,
        }
        texts = {
            "page_location": (locations, location),
            "page_title": (["Sell old phone online | Cashkr", "Cashkr quote"],
                           has_item.astype(np.int64)),
            "device_model": ([item.name for item in cat.MODELS], model),
            "category": ([item.category for item in cat.MODELS], model),
            "brand": ([item.brand for item in cat.MODELS], model),
            "source": (["crm"], np.zeros(size, dtype=np.int64)),
            "medium": (list(cat.CHANNELS), medium),
            "campaign": (list(self.state.meta["campaigns"]), campaign),
            "consent_mode": (["denied"], np.zeros(size, dtype=np.int64)),
        }  # fmt: skip
        integers = {
            "ga_session_id": part["session"],
            "ga_session_number": part["session_no"].astype(np.int64),
            "engagement_time_msec": engaged,
            "quote_value": value,
        }
        matrix = np.stack([present[param] for param in _PARAM_NAMES], axis=1)
        owner, which = np.nonzero(matrix)
        total = len(owner)
        numbers, no_number = np.zeros(total, dtype=np.int64), np.ones(total, dtype=bool)
        words: list[str] = []
        word, no_double = np.full(total, -1, dtype=np.int64), np.ones(total, dtype=bool)
        for place, param in enumerate(_PARAM_NAMES):
            spots = np.flatnonzero(which == place)
            rows = owner[spots]
            if param in integers:
                numbers[spots] = integers[param][rows]
                no_number[spots] = False
            elif param == "order_id":
                word[spots] = len(words) + np.arange(len(spots))
                words += [f"CK{number}" for number in part["number"][rows].tolist()]
            else:
                choices, index = texts[param]
                word[spots] = len(words) + index[rows]
                words += choices
            if param == "quote_value":
                no_double[spots] = ~as_double[rows]
                no_number[spots] = as_double[rows] | as_text[rows]
                told = spots[as_text[rows]]
                word[told] = len(words) + np.arange(len(told))
                words += [str(number) for number in numbers[told].tolist()]
        values = _struct_of(
            _PARAM.field("value").type,
            string_value=_lookup(words or [""], word),
            int_value=_nullable(numbers, no_number, _LONG),
            double_value=_nullable(numbers.astype(np.float64), no_double, _REAL),
        )
        entries = _struct_of(_PARAM, key=_lookup(list(_PARAM_NAMES), which), value=values)
        return _lists(matrix.sum(axis=1), entries)

    def _locations(
        self,
        part: Frame,
        bot: NDArray[np.bool_],
        model: Ints,
        campaign: Ints,
        medium: Ints,
    ) -> tuple[list[str], Ints]:
        locations = [f"{_SITE}/"]
        locations += [
            f"{_SITE}/sell/{item.category}/{_slug(f'{item.brand} {item.name}')}"
            for item in cat.MODELS
        ]
        index = np.where(model >= 0, model + 1, 0)
        landed = (campaign > 0) & np.isin(part["name"], _LANDING)
        base = len(locations)
        names = list(self.state.meta["campaigns"])
        for name in names:
            locations += [
                f"{_SITE}/?utm_source=crm&utm_medium={channel}&utm_campaign={name}"
                for channel in cat.CHANNELS
            ]
        index = np.where(landed, base + campaign * len(cat.CHANNELS) + medium, index)
        base = len(locations)
        locations += [f"{_SITE}/?p={page}" for page in range(50)]
        return locations, np.where(bot, base + part["session_no"] % 50, index)


def _struct_of(
    kind: pa.StructType,
    *,
    size: int | None = None,
    mask: NDArray[np.bool_] | None = None,
    **fields: pa.Array,
) -> pa.StructArray:
    """A struct column; fields not named are NULL."""
    length = size if size is not None else len(next(iter(fields.values())))
    parts = [fields.get(field.name, pa.nulls(length, field.type)) for field in kind]
    return pa.StructArray.from_arrays(
        parts, fields=list(kind), mask=None if mask is None else pa.array(mask)
    )


def _masked(array: pa.StructArray, kind: pa.StructType, mask: NDArray[np.bool_]) -> pa.Array:
    return pa.StructArray.from_arrays(
        [array.field(place) for place in range(kind.num_fields)],
        fields=list(kind),
        mask=pa.array(mask),
    )


def _lists(counts: Ints, values: pa.Array) -> pa.ListArray:
    offsets = np.zeros(len(counts) + 1, dtype=np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _properties(logged: NDArray[np.bool_], ts: Ints) -> pa.ListArray:
    rows = np.flatnonzero(logged)
    zeros = np.zeros(len(rows), dtype=np.int64)
    value = _struct_of(
        _PROPERTY.field("value").type,
        string_value=_lookup(["logged_in"], zeros),
        set_timestamp_micros=pa.array(ts[rows], _LONG),
    )
    entries = _struct_of(_PROPERTY, key=_lookup(["customer_type"], zeros), value=value)
    return _lists(logged.astype(np.int64), entries)
