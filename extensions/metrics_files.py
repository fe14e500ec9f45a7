"""The files in which workers share their metrics: they outlive the worker, so what it leaves is tidied up here."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

if sys.platform != "win32":
    import fcntl

KEPT = ("counter", "histogram")  # what a worker has counted stays true when it has gone
NOBODY = 0  # stands in the name of a file for all workers that have gone; no process has this id


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """The files as one wants to read them; whoever else wants to waits."""
    if sys.platform == "win32":  # no locks of this kind, and looking for a process would end it
        yield
        return
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _forget_dead(folder)
        yield


def _forget_dead(folder: Path) -> None:
    """Remove the gauges of workers that have gone, and add up what they have counted: one file each, for ever."""
    for pid in {_pid(path) for path in folder.glob("gauge_live*.db")}:
        if not _lives(pid):
            mark_process_dead(pid, str(folder))
    for kind in KEPT:
        dead = [path for path in folder.glob(f"{kind}_*.db") if _pid(path) != NOBODY and not _lives(_pid(path))]
        if dead:
            _add_up(folder / f"{kind}_{NOBODY}.db", dead)


def _add_up(total: Path, dead: Iterable[Path]) -> None:
    sums: defaultdict[str, float] = defaultdict(float)
    for path in [*([total] if total.exists() else []), *dead]:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
            sums[key] += value
    new = total.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = MmapedDict(str(new))
    for key, value in sums.items():
        file.write_value(key, value, 0.0)
    file.close()
    new.replace(total)
    for path in dead:
        path.unlink()


def _pid(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
