"""Those who wait for one of a few places, such as connections: nobody joins a line that is too long already."""

import math

from utils.custom_exc import Overloaded

AVERAGE_OF = 8  # so many of the last count
OUTLIER = 2.0  # what took longer than so many times the average counts as this: one import is no sign of many
SHORTEST_SECONDS = 0.001


class WaitingLine:
    """Entered while one wants a place: `with line:`. Raises Overloaded when one would wait for longer than allowed.

    How long that is follows from the length of the line and from how long the last ones kept their place (Little's
    law). Twice as many as there are places may always come.
    """

    def __init__(self, places: int, max_wait_seconds: float = math.inf) -> None:
        self._places = places
        self._max_wait = max_wait_seconds
        self._average = 0.0
        self.wanted = 0

    def __enter__(self) -> None:
        waiting = self.wanted - self._places
        if waiting >= self._places and (waiting + 1) * self._average > self._max_wait * self._places:
            raise Overloaded
        self.wanted += 1

    def __exit__(self, *_: object) -> None:
        self.wanted -= 1

    def took(self, seconds: float) -> None:
        """Count how long somebody has kept a place; from any thread."""
        seconds = min(seconds, OUTLIER * self._average + SHORTEST_SECONDS)
        self._average += (seconds - self._average) / AVERAGE_OF
