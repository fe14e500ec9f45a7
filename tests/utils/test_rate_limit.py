import math

from hypothesis import given
from hypothesis import strategies as st

from utils.rate_limit import SECOND, Quota, Verdict

TEN = Quota("user", 10)
QUOTAS = st.builds(Quota, st.just("user"), st.integers(1, 1_000_000), st.integers(1, 3600))


def test_a_client_who_was_away_may_send_all_at_once() -> None:
    assert TEN.judge(0) == Verdict(allowed=True, remaining=9, full_again_in=6, retry_after=0)
    assert TEN.judge(54 * SECOND) == Verdict(allowed=True, remaining=0, full_again_in=60, retry_after=0)
    assert TEN.judge(60 * SECOND) == Verdict(allowed=False, remaining=0, full_again_in=60, retry_after=6)


def test_a_wait_is_told_in_whole_seconds_that_suffice() -> None:
    assert TEN.judge(54 * SECOND + 1) == Verdict(allowed=False, remaining=0, full_again_in=55, retry_after=1)


def test_the_headers_are_structured_fields() -> None:
    assert TEN.policy == '"user";q=10;w=60'
    assert TEN.state(TEN.judge(0)) == '"user";r=9;t=6'


@given(QUOTAS)
def test_so_many_pass_at_once_and_no_more(quota: Quota) -> None:
    last = (quota.requests - 1) * quota.interval
    assert quota.judge(0) == Verdict(True, quota.window // quota.interval - 1, math.ceil(quota.interval / SECOND), 0)
    assert quota.judge(last).allowed
    assert not quota.judge(quota.window).allowed


@given(QUOTAS, st.integers(0, 4_000 * SECOND))
def test_who_waits_as_told_may_come(quota: Quota, ahead: int) -> None:
    ahead = min(ahead, quota.window)
    verdict = quota.judge(ahead)
    assert quota.judge(max(ahead - verdict.retry_after * SECOND, 0)).allowed
