import time

import pytest

from utils import log_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2 for ann", "password=*** for ann"),
        ("{'new_password': 'two words', 'name': 'ann'}", "{'new_password': ***, 'name': 'ann'}"),
        ('{"access_token": "abc.def", "n": 1}', '{"access_token": ***, "n": 1}'),
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: ***"),
        ("[(b'authorization', b'Bearer abcdefgh'), (b'host', b'x')]", "[(b'authorization', b***), (b'host', b'x')]"),
        ("sent Bearer abcdefgh.ijkl", "sent Bearer ***"),
        ("postgresql+asyncpg://shop:p@ss/w@db.local/shop", "postgresql+asyncpg://shop:***@db.local/shop"),
        ("cannot decode eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "cannot decode eyJ***"),
        ("APP_SECRET_KEY=abc", "APP_SECRET_KEY=***"),
        ("/ws/lobby/ann?since=3&token=abc&x=1", "/ws/lobby/ann?since=3&token=***&x=1"),
        ('password="unclosed', "password=***"),
        (
            "listening on http://127.0.0.1:8010 for ann@example.org",
            "listening on http://127.0.0.1:8010 for ann@example.org",
        ),
        ("7 goods in category phones, 手机", "7 goods in category phones, 手机"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert log_text.mask(text) == masked


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("page=2&q=phone", "page=2&q=phone"),
        ("token=a.b&page=2", "token=***&page=2"),
        ("page=2&access_token=a&API-Key=b", "page=2&access_token=***&API-Key=***"),
        ("key=a&keyword=b&code=c", "key=***&keyword=***&code=***"),
        ("t%6Fken=abc&q=%E6%89%8B", "t%6Fken=***&q=%E6%89%8B"),
        ("password", "password"),
    ],
)
def test_mask_query(query: str, masked: str) -> None:
    assert log_text.mask_query(query) == masked


def test_escape_keeps_a_text_on_its_line() -> None:
    hostile = "a\r\nb\x1b[31mc\u2028d\u202ee\udc80 中文\u3000ok"
    assert log_text.escape(hostile) == "a\\r\\nb\\x1b[31mc\\u2028d\\u202ee\\udc80 中文\u3000ok"


def test_indent_leaves_no_line_at_the_margin() -> None:
    assert log_text.indent("ValueError: a\n2026-01-01 forged\x85x") == (
        "    ValueError: a\n    2026-01-01 forged\n    x\n"
    )


def test_hostile_text_costs_linear_time() -> None:
    # Quadratic patterns need minutes for these; a limit in seconds is far from both.
    started = time.process_time()
    for text in ("token" * 40_000, "://a:" * 20_000, "password='" * 20_000, "eyJ" * 40_000, "bearer " * 20_000):
        log_text.mask(text)
    assert time.process_time() - started < 20


def test_stamps() -> None:
    assert log_text.utc_stamp(1769832000.9996) == "2026-01-31T04:00:00.999Z"
    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1769832000))
    assert log_text.local_stamp(1769832000.25) == f"{local}.250"
