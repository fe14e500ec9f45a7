"""Whether a folder takes files: a disk can be full, read-only or gone."""

import asyncio
from pathlib import Path
from tempfile import TemporaryFile

from utils.custom_exc import NotReady

PROBE_BYTES = 64 * 1024
ANSWER_SECONDS = 2.0  # a disk behind a network may not answer at all


async def check_folder(folder: Path) -> None:
    """Write something there that is gone at once; raises NotReady, which says why it could not be written."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.to_thread(_write, folder)
    except OSError as error:
        raise NotReady(f"Its disk takes nothing: {error.strerror or 'no answer'}.") from error


def _write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(PROBE_BYTES))
