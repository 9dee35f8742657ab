"""Every spelling of a phone number seen in a source, read once by libphonenumber.

Only spellings not read before are parsed: a parse costs about 80 microseconds and the same text always
reads the same. Holds no business rule but what a usable mobile number is.
"""

import re

import phonenumbers
import pyarrow as pa

# Numbers people type to get past a form field. They are valid in shape, so only a list can tell.
PLACEHOLDERS = re.compile(r"^\+91(\d)\1{9}$|^\+91(1234567890|9876543210|0123456789|9999999999)$")
# India gave 6-9 to mobiles; libphonenumber's area-code table still calls many of them landlines.
INDIAN_MOBILE = re.compile(r"^\+91[6-9]\d{9}$")
# The common ways to write one, without what stands between digits. Each number is read once, not once a spelling.
INDIAN_SPELLING = re.compile(r"(?:\+91|0091|91|0)?([6-9][0-9]{9})")
BETWEEN_DIGITS = str.maketrans("", "", " -()")
MOBILE_TYPES = (
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
)


def read_phone(text):
    """Return (E.164 text or None, is_mobile, is_placeholder) for one spelling of an Indian or foreign number."""
    # a spreadsheet's float: '9876543210.0'
    text = re.sub(r"\.0$", "", text.strip())
    try:
        number = phonenumbers.parse(text, "IN")
    except phonenumbers.NumberParseException:
        return None, False, False
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if PLACEHOLDERS.match(e164):
        return e164, False, True
    if not phonenumbers.is_valid_number(number):
        return None, False, False
    if number.country_code == 91:
        is_mobile = INDIAN_MOBILE.match(e164) is not None
    else:
        is_mobile = phonenumbers.number_type(number) in MOBILE_TYPES
    return e164, is_mobile, False


def model(dbt, session):
    """Return one row a spelling: phone_raw, phone_e164, is_mobile, is_placeholder.

    All that are seen in a full build, those of rows that changed in another; what was read before is not read again.
    """
    dbt.config(
        materialized="incremental", replaced_by="phone_raw", replaced_from="int_touched_phones"
    )
    this = dbt.this
    (exists,) = session.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ?",
        [this.schema, this.identifier],
    ).fetchone()
    held = (
        session.sql(f"from {this.schema}.{this.identifier}")
        if exists
        else session.from_arrow(list_phones([]))
    )
    session.register("held_phone", held)
    session.register("touched_phone", dbt.ref("int_touched_phones"))
    session.register("seen_phone", dbt.ref("int_phones_seen"))
    part = "where phone_raw in (from touched_phone)" if dbt.is_incremental else ""
    wanted = f"(select phone_raw from seen_phone {part})"
    known = session.sql(f"from held_phone where phone_raw in {wanted}").to_arrow_table()
    unread = session.sql(
        f"select distinct phone_raw from {wanted} where phone_raw not in (select phone_raw from held_phone)"
    ).fetchall()
    for name in ("held_phone", "touched_phone", "seen_phone"):
        session.unregister(name)
    return pa.concat_tables([known, list_phones([text for (text,) in unread])])


def list_phones(spellings):
    """Return a table of what each spelling reads as."""
    mobiles = {}

    def read_once(text):
        spelled = INDIAN_SPELLING.fullmatch(text.strip().translate(BETWEEN_DIGITS))
        if spelled is None:
            return read_phone(text)
        digits = spelled[1]
        if digits not in mobiles:
            mobiles[digits] = read_phone(f"+91{digits}")
        # without the country code, digits that are no number there may be one elsewhere
        return mobiles[digits] if mobiles[digits][1] else read_phone(text)

    read = [read_once(text) for text in spellings]
    return pa.table(
        {
            "phone_raw": pa.array(spellings, pa.string()),
            "phone_e164": pa.array([row[0] for row in read], pa.string()),
            "is_mobile": pa.array([row[1] for row in read], pa.bool_()),
            "is_placeholder": pa.array([row[2] for row in read], pa.bool_()),
        }
    )
