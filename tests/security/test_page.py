"""The tables of docs/security.md say everything of each risk and attack, and name tests that there are."""

import re

import pytest

from tests.support.documents import TEST, functions
from tests.support.processes import ROOT

RISKS = ["risk", "what this service does", "tests"]
ATTACKS = ["attack", "what was sent", "what came", "tests"]
NUMBERS = [f"API{number}" for number in range(1, 11)]

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
TABLES = [
    [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
]
TESTED = [row for table in TABLES if table[0] in (RISKS, ATTACKS) for row in table[2:]]


def test_every_risk_of_the_ten_has_its_row() -> None:
    (risks,) = (table for table in TABLES if table[0] == RISKS)
    assert [row[0].split()[0] for row in risks[2:]] == NUMBERS
    assert any(table[0] == ATTACKS for table in TABLES)


@pytest.mark.parametrize("row", TESTED, ids=lambda row: row[0])
def test_each_row_names_tests_that_there_are(row: list[str]) -> None:
    named = TEST.findall(row[-1])
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == row[-1]
    assert [f"{file}::{name}" for file, name in named if name not in functions(ROOT / file)] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table[0][0])
def test_no_cell_is_empty(table: list[list[str]]) -> None:
    assert [
        row for row in table if len(row) != len(table[0]) or not all(re.search(r"\w|-", cell) for cell in row)
    ] == []


def test_no_test_of_an_attack_is_left_out() -> None:
    folder = ROOT / "tests" / "security"
    ours = {f"tests/security/{file.name}" for file in folder.glob("test_*.py")}
    named = {file for row in TESTED for file, _ in TEST.findall(row[-1])}
    assert ours - named == {"tests/security/test_page.py", "tests/security/test_audit.py"}
