"""Field types that every sub-project needs: text without NUL, money, times in UTC."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

MAX_ID = 2**63 - 1
MONEY_PATTERN = r"^[0-9]{1,8}(\.[0-9]{1,2})?$"
_MONEY = re.compile(MONEY_PATTERN)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CENT = Decimal("0.01")


def refuse_unstorable(value: str) -> str:
    """No database stores half a character, and PostgreSQL no NUL, so no text of ours may have one on any."""
    if "\x00" in value:
        raise ValueError("must not contain the NUL character")
    if _SURROGATE.search(value):
        raise ValueError("must not contain half of a surrogate pair")
    return value


def parse_money(value: Any) -> Decimal:
    """Read a decimal string; a JSON number is refused, because it may have been a float."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise ValueError('must be a string such as "199.00": up to 8 digits, and up to 2 after the point')
    return Decimal(value).quantize(_CENT)


def write_money(value: Decimal) -> str:
    """Money as clients see it, always with two digits."""
    return f"{value:.2f}"


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


# Put it last: behind it, the constraints of text become those of a list.
STORABLE = AfterValidator(refuse_unstorable)

Money = Annotated[
    Decimal,
    BeforeValidator(parse_money),
    PlainSerializer(write_money, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": MONEY_PATTERN, "examples": ["199.00"]}),
]
