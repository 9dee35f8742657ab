"""What exists in the demo company's world: devices, cities, names, channels, codes.

Belongs here: constants. Does not belong here: probabilities of behaviour (``settings.py``).
Distributions follow the simulated company in the shared example data (2,000 people).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
#: India has one zone and no daylight saving; the property, the admin panel and people live in it.
IST = 19_800 * SECOND
#: Later than any instant of a world.
NEVER = np.int64(2**62)


class Model(NamedTuple):
    """A device one can sell: id in the admin panel, what it is, typical quote in rupees."""

    model_id: int
    category: str
    brand: str
    name: str
    price: int
    weight: int


_MODELS = """
1 phone Apple|iPhone 15 32300 169
2 phone Apple|iPhone 13 21400 232
3 phone Apple|iPhone 11 11200 345
4 phone Apple|iPhone XR 7350 359
5 phone Samsung|Galaxy S23 22500 178
6 phone Samsung|Galaxy S21 FE 10500 228
7 phone Samsung|Galaxy M31 3700 179
8 phone Samsung|Galaxy A52 6250 204
9 phone OnePlus|OnePlus 11R 15900 111
10 phone OnePlus|OnePlus Nord CE 2 6900 112
11 phone OnePlus|OnePlus 7T 5850 120
12 phone Xiaomi|Redmi Note 12 Pro 7200 176
13 phone Xiaomi|Redmi 9 2400 108
14 phone Xiaomi|Mi 11X 8000 189
15 phone Xiaomi|Poco F4 9200 174
16 phone Vivo|V27 10600 105
17 phone Vivo|Y20 2850 60
18 phone Oppo|Reno8 8600 79
19 phone Oppo|A54 3050 48
20 phone Realme|GT Neo 3 9250 112
21 phone Realme|Narzo 50 3350 77
22 phone Google|Pixel 7a 14700 42
23 phone Google|Pixel 6 11650 45
24 laptop HP|Pavilion 15 15500 30
25 laptop HP|EliteBook 840 18700 20
26 laptop Dell|Inspiron 3511 13250 26
27 laptop Dell|XPS 13 31300 16
28 laptop Lenovo|IdeaPad Slim 3 12500 15
29 laptop Lenovo|ThinkPad T480 14000 37
30 laptop Asus|VivoBook 15 13200 18
31 laptop Asus|ROG Strix G15 28500 11
32 tablet Apple|iPad 9th gen 11900 47
33 tablet Apple|iPad Air 4 18950 23
34 tablet Samsung|Galaxy Tab S6 Lite 7100 27
35 tablet Lenovo|Tab M10 4000 13
36 smartwatch Apple|Watch Series 7 8650 40
37 smartwatch Samsung|Galaxy Watch 4 4450 21
38 smartwatch boAt|Xtend 600 1
40 mac Apple|MacBook Air M1 31100 14
41 mac Apple|MacBook Pro 2017 18900 41
42 mac Apple|MacBook Pro M1 14 62500 7
43 mac Apple|iMac 2019 26050 22
"""


def _read_models() -> tuple[Model, ...]:
    models = []
    for line in _MODELS.strip().splitlines():
        model_id, category, rest = line.split(" ", 2)
        brand, tail = rest.split("|")
        name, price, weight = tail.rsplit(" ", 2)
        models.append(Model(int(model_id), category, brand, name, int(price), int(weight)))
    return tuple(models)


MODELS = _read_models()
MODEL_WEIGHTS = np.array([model.weight for model in MODELS], dtype=float)
MODEL_PRICES = np.array([model.price for model in MODELS], dtype=float)

#: Clean name → share and the spellings seen in the admin panel.
CITIES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("Mumbai", 17, ("Mumbai", "mumbai", "Mumbai ", "Bombay")),
    ("Delhi", 17, ("Delhi", "delhi", "New Delhi", "NEW DELHI")),
    ("Bengaluru", 16, ("Bengaluru", "bengaluru", "Bangalore", "BANGALORE ")),
    ("Hyderabad", 11, ("Hyderabad",)),
    ("Pune", 10, ("Pune", "pune", "Poona")),
    ("Chennai", 7, ("Chennai",)),
    ("Kolkata", 6, ("Kolkata",)),
    ("Jaipur", 5, ("Jaipur",)),
    ("Ahmedabad", 5, ("Ahmedabad",)),
    ("Lucknow", 3, ("Lucknow",)),
    ("Nagpur", 3, ("Nagpur",)),
    ("Indore", 3, ("Indore",)),
)
CITY_WEIGHTS = np.array([weight for _, weight, _ in CITIES], dtype=float)

#: Name as written, and the Latin form an e-mail address is made of.
FIRST_NAMES: tuple[tuple[str, str], ...] = (
    ("Aarav", "aarav"), ("Priya", "priya"), ("Rahul", "rahul"), ("Sneha", "sneha"),
    ("Vivaan", "vivaan"), ("Ishita", "ishita"), ("Arjun", "arjun"), ("Kavya", "kavya"),
    ("Rohan", "rohan"), ("Aditi", "aditi"), ("Fatima", "fatima"), ("Harleen", "harleen"),
    ("Md. Imran", "imran"), ("Guri", "guri"), ("O'Neil", "oneil"), ("José", "jose"),
    ("Zoë", "zoe"), ("Anne-Marie", "annemarie"), ("Ravi 🙂", "ravi"), ("आरव", "aarav"),
    ("प्रिया", "priya"), ("राहुल", "rahul"), ("அனிதா", "anita"), ("ஆதித்யா", "aditya"),
    ("கவிதா", "kavitha"), ("అనిల్", "anil"), ("রিয়া", "riya"), ("محمد", "mohammed"),
    ("ಸುನೀಲ್", "sunil"), ("ગીતા", "geeta"), ("ਗੁਰਪ੍ਰੀਤ", "gurpreet"), ("മീര", "meera"),
)  # fmt: skip
LAST_NAMES: tuple[str, ...] = (
    "Sharma", "Patel", "Reddy", "Mehta", "Nair", "Singh", "Khan", "Iyer", "Das", "Bose",
    "Kulkarni", "D'Souza", "शर्मा", "குமார்", "NAIR", "",
)  # fmt: skip
MAIL_DOMAINS: tuple[str, ...] = (
    "gmail.com", "googlemail.com", "yahoo.co.in", "outlook.com", "hotmail.com", "rediffmail.com",
)  # fmt: skip
MAIL_WEIGHTS = np.array([50, 6, 11, 12, 12, 9], dtype=float)
TEST_DOMAIN = "cashkr.test"
LANGUAGES = ("en-in", "hi-in", "ta-in")

PLACEHOLDER_PHONES = (9_999_999_999, 1_234_567_890, 0)
#: Shop counters put their own number on their customers' accounts.
KIOSK_PHONE = 9_100_000_010
TEST_PHONE = 9_000_000_000


class Platform(IntEnum):
    """Where a visit happens; the value indexes the stream ids and names of the export."""

    WEB = 0
    ANDROID = 1
    IOS = 2


STREAM_IDS = ("4100000001", "4100000002", "4100000003")


class PhoneKind(IntEnum):
    """Whose number an account carries."""

    OWN = 0
    HOUSEHOLD = 1
    KIOSK = 2
    PLACEHOLDER = 3
    INVALID = 4
    LANDLINE = 5


class Channel(IntEnum):
    """Channels in the order of the consent columns."""

    WHATSAPP = 0
    SMS = 1
    EMAIL = 2
    PUSH = 3


CHANNELS = ("whatsapp", "sms", "email", "push")


class Status(IntEnum):
    """An order's status as the admin panel names it."""

    PLACED = 0
    CONFIRMED = 1
    PICKUP_SCHEDULED = 2
    PICKUP_FAILED = 3
    PICKED_UP = 4
    COMPLETED = 5
    RETURNED = 6
    CANCELLED = 7
    EXPIRED = 8
    FAILED = 9


STATUSES = tuple(status.name.lower() for status in Status)
FAILURE_REASONS = ("", "no_docs", "no_answer", "address_issue", "user_busy")
CANCEL_REASONS = ("", "changed_mind", "price_mismatch", "expired", "pickup_failed")
PAYOUT_MODES = ("upi", "imps", "cash")


class Event(IntEnum):
    """GA4 event names; the value indexes ``EVENT_NAMES``."""

    SESSION_START = 0
    FIRST_VISIT = 1
    PAGE_VIEW = 2
    SEARCH = 3
    VIEW_ITEM = 4
    QUOTE_VIEWED = 5
    GENERATE_LEAD = 6
    SIGN_UP = 7
    LOGIN = 8
    BEGIN_CHECKOUT = 9
    ORDER_PLACED = 10
    APP_REMOVE = 11
    VIEW_SEARCH_RESULTS = 12
    VIEW_ITEM_LIST = 13
    ADD_TO_WISHLIST = 14
    ADD_TO_CART = 15
    FIRST_OPEN = 16


EVENT_NAMES = tuple(event.name.lower() for event in Event)


class Fact(IntEnum):
    """Kinds of rows in the log the truth is made from."""

    SESSION = 0
    QUOTE = 1
    ORDER_PLACED = 2
    CONFIRMED = 3
    PICKUP_SCHEDULED = 4
    PICKUP_FAILED = 5
    PICKED_UP = 6
    COMPLETED = 7
    CANCELLED = 8
    EXPIRED = 9
    FAILED = 10
    RETURNED = 11
    DOCUMENT = 12
    FEEDBACK = 13
    APP_REMOVED = 14
    SIGNED_UP = 15
    LEAD = 16
    DELETED = 17
    OPTED_OUT = 18
    DEVICE = 19
    LOST_ROW = 20


#: Campaigns known from the start; those met in redirect links later are added by a world.
CAMPAIGNS = (
    "",
    "abandoned_price_view",
    "order_not_completed",
    "docs_reminder",
    "pickup_reminder",
    "pickup_recovery",
    "feedback_request",
    "cancelled_recovery",
    "winback_inactive",
    "promo_weekly",
    "vip_blast",
)
