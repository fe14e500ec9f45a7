"""The table of docs/faults.md says everything of each fault, and names tests that there are."""

import re
from pathlib import Path

import pytest

from tests.support.documents import TEST, functions
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "faults.md"
HEAD = ["fault", "what clients saw", "what was lost", "how it came back", "how it is tested"]

LINES = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
CELLS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES]
ROWS = CELLS[2:]


def test_the_table_is_one_table() -> None:
    assert (CELLS[0], CELLS[1]) == (HEAD, ["---"] * len(HEAD))
    assert len(ROWS) > 20
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_no_cell_is_empty_and_each_named_test_exists(row: list[str]) -> None:
    assert len(row) == len(HEAD)
    assert all(re.search(r"\w", cell) for cell in row)
    named = TEST.findall(row[-1])
    assert named
    for file, name in named:
        assert name in functions(ROOT / file), f"{file} has no {name}"


def test_no_fault_that_is_tested_is_left_out() -> None:
    told = {(file, name) for row in ROWS for file, name in TEST.findall(row[-1])}
    there = {
        (file.relative_to(ROOT).as_posix(), name)
        for file in Path(__file__).parent.glob("test_*_faults.py")
        for name in functions(file)
        if name.startswith("test_")
    }
    assert there - told <= {("tests/faults/test_postgres_faults.py", "test_the_log_tells_it_once")}
