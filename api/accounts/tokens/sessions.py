"""What a session is, between its rules and its queries."""

from datetime import datetime
from typing import NamedTuple


class Account(NamedTuple):
    """Who an access token is made for."""

    name: str
    roles: frozenset[str]


class NewSession(NamedTuple):
    """A login that begins."""

    id: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime
