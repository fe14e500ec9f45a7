"""What a query looks like, beside what it finds (tests/shopdemo/test_search.py)."""

import sys
from unicodedata import combining
from unicodedata import normalize as normal_form

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.full_text import is_code, normalize

MARKS = [
    chr(code) for code in range(sys.maxunicode + 1) if len(normal_form("NFKD", chr(code))) > 1 or combining(chr(code))
]


@pytest.mark.parametrize("query", ["TEA-LJ-250", "0500000", "BENCH-0500000", "红茶 TEA-1-2"])
def test_codes(query: str) -> None:
    assert is_code(query)


@pytest.mark.parametrize("query", ["", "龙井", "100%", "250g", "2024", "tea - cake", "a_b_c"])
def test_words_are_no_codes(query: str) -> None:
    assert not is_code(query)


@given(st.text(st.sampled_from(MARKS) | st.characters(codec="utf-8")))
def test_accents_are_removed_one_character_at_a_time_as_they_would_be_from_the_whole(text: str) -> None:
    plain = "".join(part for part in normal_form("NFKD", text) if not combining(part))
    assert normalize(text) == normal_form("NFC", plain.casefold())
