import pytest

from extensions.waiting_line import WaitingLine
from utils.custom_exc import Overloaded


def line_of(places: int, seconds: float, max_wait: float = 1.0) -> WaitingLine:
    """A line whose places were kept for so long each time."""
    line = WaitingLine(places, max_wait)
    for _ in range(200):
        line.took(seconds)
    return line


def join(line: WaitingLine, at_most: int = 10_000) -> int:
    """How many may join at once."""
    for number in range(at_most):
        try:
            line.__enter__()
        except Overloaded:
            return number
    return at_most


def test_so_many_may_wait_as_have_their_turn_in_time() -> None:
    assert join(line_of(places=10, seconds=0.01)) == 10 + 1_000
    assert join(line_of(places=1, seconds=0.1)) == 1 + 10


def test_twice_as_many_as_there_are_places_may_always_come() -> None:
    assert join(line_of(places=4, seconds=60.0)) == 8


def test_nobody_is_refused_before_it_is_known_how_long_it_takes() -> None:
    assert join(WaitingLine(1, 1.0), at_most=500) == 500


def test_who_leaves_makes_room() -> None:
    line = line_of(places=1, seconds=1.0)
    with line, line:
        assert line.wanted == 2
        with pytest.raises(Overloaded), line:
            pass
    assert line.wanted == 0
    with line:
        assert line.wanted == 1


def test_one_that_took_long_is_no_sign_of_many() -> None:
    line = line_of(places=1, seconds=0.001)
    line.took(30.0)
    assert join(line) > 500


def test_a_line_may_be_without_end() -> None:
    line = WaitingLine(1)
    line.took(30.0)
    assert join(line, at_most=500) == 500
