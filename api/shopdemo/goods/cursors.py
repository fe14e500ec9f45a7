"""Where an endless list goes on: after which goods, in which order."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Self

from api.shopdemo.goods.errors import CursorInvalid
from utils.fields import MAX_ID


@dataclass(frozen=True)
class Cursor:
    """The last goods of a page: the value they are sorted by (cents or pieces; 0 by time) and their id."""

    sort: str
    value: int
    goods_id: int

    def encode(self) -> str:
        """The cursor as clients send it back; opaque to them."""
        text = json.dumps([self.sort, self.value, self.goods_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, sort: str) -> Self:
        """Read a cursor of a list in this order; raises CursorInvalid."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            fields: Any = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError) as error:
            raise CursorInvalid from error
        match fields:
            case [str() as own_sort, int() as value, int() as goods_id] if own_sort == sort:
                if 0 <= value <= MAX_ID and 0 <= goods_id <= MAX_ID:
                    return cls(sort, value, goods_id)
        raise CursorInvalid
