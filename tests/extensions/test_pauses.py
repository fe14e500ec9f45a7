"""How long the supervisor waits before it starts a worker again; the rest is in tests/commands/test_supervisor.py."""

from extensions.supervisor import pause_seconds


def test_attempts_become_rarer_within_bounds() -> None:
    assert [pause_seconds(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 15, 15]
    assert pause_seconds(100_000) == 15
