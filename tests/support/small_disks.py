"""Disks that are full soon, and can be made read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.databases import miss

BLOCK = bytes(4096)


class SmallDisk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def free_bytes(self) -> int:
        """How much still fits."""
        found = os.statvfs(self.folder)
        return found.f_bfree * found.f_bsize

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte more fits."""
        ballast = self.folder / "ballast"
        with suppress(OSError), ballast.open("wb", 0) as file:
            while True:
                file.write(BLOCK)
        yield
        ballast.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        _run("mount", "-o", "remount,ro", str(self.folder))
        yield
        _run("mount", "-o", "remount,rw", str(self.folder))


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[SmallDisk]:
    """A disk of this size at `folder`, which is made; a test that may not mount one is missed."""
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        miss("disk", f"a small disk cannot be mounted; that takes root: {error}")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
