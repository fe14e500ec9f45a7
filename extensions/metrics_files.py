"""The files in which workers share their metrics: they outlive the worker, so what it leaves is tidied up here."""

import os
import struct
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import ClassVar

from loguru import logger
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

if sys.platform != "win32":
    import fcntl

KEPT = ("counter", "histogram")  # what a worker has counted stays true when it has gone
NOBODY = 0  # stands in the name of a file for all workers that have gone; no process has this id
FIRST_BYTES = 64 * 1024  # of a file, which is doubled when it is full
ENTRY_BYTES = 28  # of one value at most, beside its key
AGAIN_SECONDS = 1.0  # between two attempts where there was no room


class SharedFile:
    """What this process has counted, for whichever is asked; `MmapedDict` on blocks that exist before they are written.

    Those of prometheus-client are sparse and written through a mapping. There a page that finds no room is no error but
    SIGBUS: the end of the worker, and of each one that takes its place. Here a value waits until there is room.
    """

    _waiting: ClassVar[set[str]] = set()  # the files of this process that have no room

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: MmapedDict | None = None
        self._placed: set[str] = set()
        self._unplaced: dict[str, tuple[float, float] | None] = {}  # None: as the file has it
        self._next_attempt = 0.0

    def read_value(self, key: str) -> tuple[float, float]:
        """Value and time; both 0 for what is new."""
        self._place(key, None)
        found: tuple[float, float] = (0.0, 0.0)
        if self._file and key in self._placed:
            found = self._file.read_value(key)
        return found

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Let others see it, now or when there is room."""
        if self._file and key in self._placed:
            self._file.write_value(key, value, timestamp)
        else:
            self._place(key, (value, timestamp))

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _place(self, key: str, value: tuple[float, float] | None) -> None:
        """Give this one, and all that wait, a place in the file."""
        self._unplaced[key] = value
        if monotonic() < self._next_attempt:
            return
        try:
            self._file = self._file or _open(Path(self._name))
            for one, written in list(self._unplaced.items()):
                _make_room(self._file, one)
                self._file.write_value(one, *(written or self._file.read_value(one)))
                self._placed.add(one)
                del self._unplaced[one]
        except OSError as error:
            self._wait(error)
        else:
            self._wait_no_longer()

    def _wait(self, error: OSError) -> None:
        if not self._waiting:
            text = "There is no room for new metrics, which are counted but not shared with others: {}: {}"
            logger.warning(text, self._name, error)
        self._waiting.add(self._name)
        self._next_attempt = monotonic() + AGAIN_SECONDS

    def _wait_no_longer(self) -> None:
        if self._name in self._waiting:
            self._waiting.discard(self._name)
            if not self._waiting:
                logger.info("There is room for metrics again.")


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """The files as one wants to read them; whoever else wants to waits."""
    if sys.platform == "win32":  # no locks of this kind, and looking for a process would end it
        yield
        return
    lock = os.open(folder, os.O_RDONLY)  # the folder itself: a full disk may have no room for one more file
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _forget_dead(folder)
        yield
    finally:
        os.close(lock)


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
    """Into one file; where there is no room for it all stay as they are."""
    sums: defaultdict[str, float] = defaultdict(float)
    for path in [*([total] if total.exists() else []), *dead]:
        for key, value in _values(path):
            sums[key] += value
    new = total.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        with closing(_open(new)) as file:
            for key, value in sums.items():
                _make_room(file, key)
                file.write_value(key, value, 0.0)
    except OSError:
        new.unlink(missing_ok=True)
        return
    new.replace(total)
    for path in dead:
        path.unlink()


def _values(path: Path) -> Iterator[tuple[str, float]]:
    """What a file says, as far as it can be read: whoever wrote it may have been killed when it was not whole."""
    with suppress(struct.error, RuntimeError, UnicodeDecodeError):
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
            yield key, value


def _open(path: Path) -> MmapedDict:
    """A new one appears as a whole: empty ones cannot be read."""
    if not path.exists() or path.stat().st_size < FIRST_BYTES:
        draft = path.with_name(f"{path.name}.draft")
        _lengthen(draft, FIRST_BYTES)
        draft.replace(path)
    return MmapedDict(str(path))


def _make_room(file: MmapedDict, key: str) -> None:
    size = file._capacity
    while size < file._used + len(key.encode()) + ENTRY_BYTES:
        size *= 2
    if size > file._capacity:
        _lengthen(Path(file._fname), size)


def _lengthen(path: Path, size: int) -> None:
    """Write zeros until it is so long; where there is no room for all of them it stays as it was."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while (missing := size - file.tell()) > 0:
                file.write(bytes(missing))
        except OSError:
            file.truncate(before)
            raise


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
