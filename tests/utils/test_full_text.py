"""What a query looks like, beside what it finds (tests/shopdemo/test_search.py)."""

import pytest

from utils.full_text import is_code


@pytest.mark.parametrize("query", ["TEA-LJ-250", "0500000", "BENCH-0500000", "红茶 TEA-1-2"])
def test_codes(query: str) -> None:
    assert is_code(query)


@pytest.mark.parametrize("query", ["", "龙井", "100%", "250g", "2024", "tea - cake", "a_b_c"])
def test_words_are_no_codes(query: str) -> None:
    assert not is_code(query)
