"""The folder in which the workers of one machine share their metrics.

prometheus-client takes it from the environment, and when it is first imported; so nothing here imports it, and whoever
starts workers calls `share_between_workers` before.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "myfastapi-metrics-"


def share_between_workers() -> None:
    """Let all processes that this one starts share their metrics; the folder is removed when this one ends.

    A folder that the environment names already is used as it is: whoever chose it empties it. But one that belongs to
    another process of ours (gunicorn's old master, which starts the new one) will go with that process.
    """
    owner = os.getpid()
    own = f"{PREFIX}{owner}-"
    name = Path(os.environ.get(VARIABLE, PREFIX)).name
    if name.startswith(own) or not name.startswith(PREFIX):
        return
    folder = tempfile.mkdtemp(prefix=own)
    os.environ[VARIABLE] = folder

    @atexit.register
    def remove() -> None:
        if os.getpid() == owner:  # forked workers inherit this
            shutil.rmtree(folder, ignore_errors=True)


def metrics_folder() -> Path | None:
    """Where the metrics of all workers are; None when this is the only one."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None
