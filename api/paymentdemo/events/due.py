"""An event on its way."""

from typing import NamedTuple


class DueEvent(NamedTuple):
    """An event that this worker has claimed; `attempts` counts the one that it is claimed for."""

    id: str
    url: str
    body: str
    attempts: int
