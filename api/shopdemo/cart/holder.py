"""Who has a cart."""

from typing import NamedTuple


class Holder(NamedTuple):
    """Whose cart: a user's by name, or a guest's by its id. A guest without one has not put anything into it yet."""

    user: str | None = None
    guest_cart: int | None = None
