"""The rule by which the throttle counts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from api.accounts.throttle.service import Limit

START = datetime(2026, 1, 1, tzinfo=UTC)

limits = st.builds(Limit, st.integers(1, 20), st.timedeltas(timedelta(microseconds=1), timedelta(hours=1)))


@given(limits, st.lists(st.timedeltas(timedelta(0), timedelta(hours=2)), max_size=60))
def test_no_time_has_more_attempts_than_a_burst_and_the_rate(limit: Limit, pauses: list[timedelta]) -> None:
    now = arrival = START
    passed: list[datetime] = []
    for pause in pauses:
        now += pause
        if limit.wait(arrival, now) <= timedelta(0):
            arrival = limit.count(arrival, now)
            passed.append(now)
    for first, since in enumerate(passed):
        for last, until in enumerate(passed[first:], first):
            assert (last - first + 1 - limit.burst) * limit.interval <= until - since


@given(limits, st.integers(0, 60), st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_who_waits_as_told_may_try_again_and_not_a_moment_sooner(limit: Limit, tries: int, pause: timedelta) -> None:
    arrival = START
    for _ in range(min(tries, limit.burst)):
        arrival = limit.count(arrival, START)
    now = START + pause
    wait = limit.wait(arrival, now)
    if wait > timedelta(0):
        assert limit.wait(arrival, now + wait - timedelta(microseconds=1)) > timedelta(0)
        now += wait
    assert limit.wait(arrival, now) <= timedelta(0)


@given(limits, st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_what_was_given_back_was_never_counted(limit: Limit, ahead: timedelta) -> None:
    arrival = START + ahead
    assert limit.wait(limit.count(arrival, START) - limit.interval, START) == limit.wait(arrival, START)
