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

    A table that reads what it held before, not an incremental model: dbt-duckdb leaves a temporary table behind
    at every run of an incremental Python model.
    """
    dbt.config(materialized="table")
    this = dbt.this
    exists = session.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ?",
        [this.schema, this.identifier],
    ).fetchone()[0]
    known = {}
    if exists:
        rows = session.execute(
            f"select phone_raw, phone_e164, is_mobile, is_placeholder from {this.schema}.{this.identifier}"
        ).fetchall()
        known = {row[0]: row[1:] for row in rows}
    spellings = [
        row[0]
        for row in dbt.ref("int_phones_seen").project("phone_raw").order("phone_raw").fetchall()
    ]
    read = [known.get(text) or read_phone(text) for text in spellings]
    return pa.table(
        {
            "phone_raw": pa.array(spellings, pa.string()),
            "phone_e164": pa.array([row[0] for row in read], pa.string()),
            "is_mobile": pa.array([row[1] for row in read], pa.bool_()),
            "is_placeholder": pa.array([row[2] for row in read], pa.bool_()),
        }
    )
