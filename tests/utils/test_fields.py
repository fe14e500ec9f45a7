"""Money, text and entity tags: the rules that every body follows."""

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from utils.etags import matches
from utils.fields import STORABLE, Money, refuse_unstorable, utc_now, write_money

MONEY: TypeAdapter[Decimal] = TypeAdapter(Money)

amounts = st.decimals(0, Decimal("99999999.99"), places=2, allow_nan=False, allow_infinity=False)


@given(amounts)
def test_money_comes_back_exactly(amount: Decimal) -> None:
    text = write_money(amount)
    assert MONEY.validate_python(text) == amount
    assert MONEY.dump_python(MONEY.validate_python(text), mode="json") == text
    assert MONEY.validate_python(text).as_tuple().exponent == -2


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none() | st.lists(st.text()))
def test_what_is_no_money_is_refused_and_not_echoed(value: Any) -> None:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,8}([.][0-9]{1,2})?", value):
        return
    with pytest.raises(ValidationError, match="must be a string such as") as caught:
        MONEY.validate_python(value)
    assert caught.value.error_count() == 1


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_text_that_can_be_stored(value: str) -> None:
    assert refuse_unstorable(value) == value


@pytest.mark.parametrize("value", ["\0", "a\0b", "\ud800", "a\udfffb"])
def test_text_that_cannot_be_stored(value: str) -> None:
    with pytest.raises(ValueError, match="must not contain") as caught:
        refuse_unstorable(value)
    assert value not in str(caught.value)
    assert STORABLE.func is refuse_unstorable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"1-1"', True),
        (' "1-1" ', True),
        ('W/"1-1"', True),
        ('"0", W/"x" , "1-1"', True),
        ("*", True),
        (" * ", True),
        ('"1-2"', False),
        ("1-1", False),
        ('"*"', False),
        ("", False),
        ('"1-1', False),
        ('"x"1-1"', False),
    ],
)
def test_entity_tags(header: str, expected: bool) -> None:
    assert matches(header, '"1-1"') is expected


def test_now_is_in_utc() -> None:
    assert utc_now().isoformat().endswith("+00:00")
