"""The checks of the other fault tests can fail: the tutorial's connection manager does not pass them."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.chat_clients import (
    TutorialMember,
    everybody_hears,
    everybody_notices,
    nobody_waits,
    together,
    within,
)
from tests.support.chat_processes import tutorials
from tests.support.processes import PATIENCE
from tests.support.raw_sockets import Deaf

SOON = 1.5  # seconds; what has not come by then does not come at all

pytestmark = [pytest.mark.faults, pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("number", [1, 2])
async def test_two_processes_reach_half(number: int, tmp_path: Path) -> None:
    """What is said on one process is heard on that one; with one process the check passes."""
    with tutorials(number, tmp_path) as processes:
        people = [TutorialMember(f"m{index}", "", [processes[index % number]]) for index in range(40)]
        async with together(people):
            await within(PATIENCE, *(one.shout() for one in people))
            if number == 1:
                await everybody_hears(people, 40)
            else:
                with pytest.raises(AssertionError, match=r"^0 of 40 heard all of 40 messages$"):
                    await everybody_hears(people, 40, SOON)
                assert [len(one.heard) for one in people] == [20] * 40


async def test_who_never_reads_stalls_everybody(tmp_path: Path) -> None:
    with tutorials(1, tmp_path) as (server,):
        people = [TutorialMember(f"m{index}", "", [server]) for index in range(5)]
        async with together(people):
            with closing(Deaf(server, "/ws/deaf")):
                await within(PATIENCE, people[0].until(lambda: people[0].noticed[-1]["user"] == "deaf"))
                with pytest.raises(AssertionError, match="of 5 heard all of"):
                    await nobody_waits(people[0], people, 500, SOON)


async def test_who_vanishes_together_is_not_told_to_have_left(tmp_path: Path) -> None:
    """Telling the first dead socket ends the telling."""
    with tutorials(1, tmp_path) as (server,):
        guests = [TutorialMember(f"g{index}", "", [server], comes_back=False) for index in range(20)]
        watcher = TutorialMember("watcher", "", [server])
        async with together(guests), together([watcher]):
            for one in guests:
                one.vanish()
            with pytest.raises(AssertionError, match=r"^0 of 1 noticed"):
                await everybody_notices([watcher], {one.name for one in guests}, SOON)
            assert watcher.is_in
            await asyncio.gather(*(one.disconnected() for one in guests))
