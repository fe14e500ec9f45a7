"""Search: Chinese of any length, prefixes of words, symbols as text; never a failure, the same on both databases."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from api.shopdemo.schemas import Goods
from tests.support.catalogue import ON_SALE, goods_body
from utils.full_text import fts5_query, is_open, normalize, query_terms, tokenize, tokenize_fields

GOODS = "/shopdemo/goods"
ALL = sorted(ON_SALE)


def found(client: TestClient, q: str) -> list[str]:
    answer = client.get(GOODS, params={"q": q, "size": 100})
    assert answer.status_code == 200, answer.text
    return sorted(goods["sku"] for goods in answer.json()["data"]["items"])


WORDS: list[tuple[str, list[str]]] = [
    ("茶", ["TEA-1", "TEA-2", "TEA-3"]),
    ("井", ["TEA-1", "TEA-3"]),
    ("恤", ["SHI-1", "SHI-2"]),
    ("龙井", ["TEA-1", "TEA-3"]),
    ("绿茶", ["TEA-1", "TEA-2", "TEA-3"]),
    ("碧螺春", ["TEA-2"]),
    ("螺春", ["TEA-2"]),
    ("西湖龙井绿茶", ["TEA-1"]),
    ("井龙", []),
    ("龙茶", []),
    ("T恤", ["SHI-1", "SHI-2"]),
    ("t恤", ["SHI-1", "SHI-2"]),
    ("Ｔ恤", ["SHI-1", "SHI-2"]),
    ("棉T恤", ["SHI-1"]),
    ("龙井 绿茶", ["TEA-1", "TEA-3"]),
    ("龙井 cake", ["TEA-3"]),
    ("longj", ["TEA-1", "TEA-3"]),
    ("LONGJING", ["TEA-1", "TEA-3"]),
    ("ongjing", []),
    ("green tea cake", ["TEA-3"]),
    ("cafe", ["SHI-2"]),
    ("CAFÉ", ["SHI-2"]),
    ("50_50", ["SHI-1"]),
    ("_", ["SHI-1"]),
    ("100%", ["COF-2"]),
    ("%", ["COF-2"]),
    ("T-Shirt", ["SHI-1", "SHI-2"]),
    ('"', ["SHI-2"]),
    ('"A"', ["SHI-2"]),
    ("'", ["SHI-2"]),
    ("“印花”", ["SHI-2"]),
    ("*", []),
    ("\\", []),
    ("TEA-1", ["TEA-1"]),
    ("系列", ALL),
    ("", ALL),
    ("   ", ALL),
    ("\u0301", []),
    ("´ \u0301", []),
    ("\x1c", []),
    ("Longjing Green Tea 西湖 龙井 绿茶 250g tea-1 nonsense", ["TEA-1"]),
    ("AND", []),
    ("tea AND cake", []),
    ("tea OR coffee", []),
    ("NEAR(tea cake)", []),
    ("name:tea", []),
    ("^tea", []),
    ("+tea", []),
    ("tea -cake", []),
    ("tea*", []),
    ("(tea)", []),
    ("tea & !cake | x <-> y", []),
    ("x" * 100, []),
    ("龙" * 100, []),
]


def test_words(client: TestClient, catalogue: dict[str, Goods]) -> None:
    assert [(q, found(client, q)) for q, _ in WORDS] == WORDS


def test_symbols_are_text(client: TestClient, admin: dict[str, str], catalogue: dict[str, Goods]) -> None:
    """Every symbol that a query language knows finds the goods that have it, and them only."""
    for number, symbol in enumerate("%_\"*'\\-():^+&|!<>@#~`{}[];,.?/$=€《》。"):
        body = goods_body(sku=f"SYM{number}", name=f"符号 a{symbol}b", description="", attributes={})
        assert client.post(GOODS, json=body, headers=admin).status_code == 201
        assert found(client, f"a{symbol}b") == [f"SYM{number}"], symbol
        assert f"SYM{number}" in found(client, symbol), symbol
    assert found(client, "a~~b") == []


def test_compatibility_forms_are_what_they_look_like(
    client: TestClient, admin: dict[str, str], catalogue: dict[str, Goods]
) -> None:
    client.post(GOODS, json=goods_body(name="Brand™ №5 ℡", description="", attributes={}), headers=admin)
    assert [found(client, q) for q in ("brandtm", "BRAND™", "no5", "№5", "tel", "℡")] == [["NEW-1"]] * 6


def test_a_change_is_found_and_the_old_is_not(
    client: TestClient, admin: dict[str, str], catalogue: dict[str, Goods]
) -> None:
    goods = catalogue["TEA-1"]
    headers = {**admin, "If-Match": "*"}
    client.patch(f"{GOODS}/{goods.id}", json={"name": "普洱 Pu'er"}, headers=headers)
    assert (found(client, "西湖"), found(client, "普洱")) == ([], ["TEA-1"])
    client.patch(f"{GOODS}/{goods.id}", json={"category": "coffee"}, headers=headers)
    assert (found(client, "普洱 绿茶"), found(client, "普洱 咖啡")) == ([], ["TEA-1"])
    client.delete(f"{GOODS}/{goods.id}", headers=admin)
    assert found(client, "普洱") == []


QUERIES = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="龙井茶T恤tea%_\"*'\\-():^+&|!<> 中\u0301ﷺＡ", max_size=12),
    st.lists(st.sampled_from(["AND", "OR", "NOT", "NEAR", "龙井", "tea", "*", '"', "'", "(", ")", "&"])).map(" ".join),
)


@settings(max_examples=60)
@given(q=QUERIES)
@example(q="'\\'")
@example(q="\U000f0000")
def test_no_query_fails(client: TestClient, catalogue: dict[str, Goods], q: str) -> None:
    answer = client.get(GOODS, params={"q": q})
    assert answer.status_code == (422 if "\0" in q or len(q) > 100 else 200), answer.text


@settings(max_examples=60)
@given(data=st.data())
def test_any_part_of_a_chinese_name_finds_it(
    client: TestClient, catalogue: dict[str, Goods], data: st.DataObject
) -> None:
    sku, run = data.draw(st.sampled_from([("TEA-1", "西湖龙井绿茶"), ("TEA-2", "洞庭碧螺春"), ("COF-1", "云南咖啡豆")]))
    length = data.draw(st.integers(2, len(run)))
    start = data.draw(st.integers(0, len(run) - length))
    assert sku in found(client, run[start : start + length])


# -- the same on both databases: PostgreSQL's meaning of a query, compared with SQLite's, over the tokens -------------


@pytest.fixture(scope="module")
def fts5() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(search, tokenize='unicode61 remove_diacritics 0')")
    yield connection
    connection.close()


def matches(q: str, tokens: list[str]) -> bool:
    """What the module promises: each term is a sequence somewhere in the text, an open last token begins one."""

    def at(term: list[str], start: int) -> bool:
        part = tokens[start : start + len(term)]
        if is_open(term[-1]) and len(part) == len(term):
            return part[:-1] == term[:-1] and part[-1].startswith(term[-1])
        return part == term

    terms = query_terms(q)
    return bool(terms) and all(any(at(term, start) for start in range(len(tokens))) for term in terms)


TEXTS = st.text(alphabet="龙井茶园Tte恤a1%_\"*'\\- é\u0301Ａｶﾞ㍿ßİ", max_size=15)


@given(text=TEXTS, q=TEXTS)
def test_sqlite_finds_what_is_promised(fts5: sqlite3.Connection, text: str, q: str) -> None:
    tokens = tokenize_fields([text])
    fts5.execute("DELETE FROM t")
    fts5.execute("INSERT INTO t VALUES (?)", [" ".join(tokens)])
    rows: list[Any] = fts5.execute("SELECT count(*) FROM t WHERE t MATCH ?", [fts5_query(q)]).fetchall()
    assert bool(rows[0][0]) == matches(q, tokens)


@given(text=st.text(max_size=30))
def test_tokens_have_no_blanks_and_do_not_depend_on_case_or_form(text: str) -> None:
    tokens = tokenize(text)
    assert all(token and not any(character.isspace() for character in token) for token in tokens)
    assert tokenize(normalize(text)) == tokens
