"""How many requests a user or an address may send, told in every answer by the standard `RateLimit` headers."""

from functools import lru_cache

from starlette.datastructures import State
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extensions.rate_counts_memory import RateCounts
from settings import Settings
from utils.addresses import subscriber_of
from utils.custom_exc import NotAuthenticated, RateLimited
from utils.exception_handlers import DENIAL, Refusal
from utils.rate_limit import Quota, Verdict
from utils.request_context import INTERNAL

RATE_LIMIT_HEADERS = ("RateLimit", "RateLimit-Policy")
BEARER = b"bearer "
UNKNOWN_ADDRESS = "-"
ANSWERS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


def limits_rates(settings: Settings) -> bool:
    """Whether there is anything to count."""
    return bool(settings.rate_per_user or settings.rate_per_address)


class RateLimitMiddleware:
    """Counts a request with a valid token for its user, every other one for its address; a WebSocket when it opens.

    Args:
        exempt: Paths that do not count.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, exempt: frozenset[str]) -> None:
        self._app = app
        self._of_user = Quota("user", settings.rate_per_user) if settings.rate_per_user else None
        self._of_address = Quota("address", settings.rate_per_address) if settings.rate_per_address else None
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._counts(scope):
            await self._app(scope, receive, send)
            return
        state: State = scope["app"].state
        user = _user_of(scope, state)
        quota = self._of_address if user is None else self._of_user
        if quota is None:
            await self._app(scope, receive, send)
            return
        counts: RateCounts = state.rate_counts
        verdict = await counts.count(f"{quota.name}:{_address_of(scope) if user is None else user}", quota)
        tell = RateTeller(send, quota, verdict).send
        if verdict.allowed:
            await self._app(scope, receive, tell)
        else:
            await _refusal(verdict.retry_after).send(scope, tell)

    def _counts(self, scope: Scope) -> bool:
        if scope["type"] == "websocket":
            return DENIAL in scope.get("extensions", {})
        return scope["type"] == "http" and scope["path"] not in self._exempt and INTERNAL not in scope["state"]


class RateTeller:
    """Stands between an application and `send`: adds to the answer what is left of the quota."""

    __slots__ = ("_headers", "_send")

    def __init__(self, send: Send, quota: Quota, verdict: Verdict) -> None:
        self._send = send
        self._headers = (
            (b"ratelimit-policy", quota.policy.encode("ascii")),
            (b"ratelimit", quota.state(verdict).encode("ascii")),
        )

    async def send(self, message: Message) -> None:
        if message["type"] in ANSWERS:
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        await self._send(message)


@lru_cache
def _refusal(seconds: int) -> Refusal:
    return Refusal(RateLimited(headers={"Retry-After": str(seconds)}))


def _user_of(scope: Scope, state: State) -> str | None:
    """Whose token it is; a token that is not valid is none: the route says so."""
    for name, value in scope["headers"]:
        if name == b"authorization" and value[: len(BEARER)].lower() == BEARER:
            try:
                name_of_user: str = state.tokens.verify(value[len(BEARER) :].decode("latin-1").strip()).name
            except NotAuthenticated:
                return None
            return name_of_user
    return None


def _address_of(scope: Scope) -> str:
    client = scope.get("client")
    return subscriber_of(client[0]) if client else UNKNOWN_ADDRESS
