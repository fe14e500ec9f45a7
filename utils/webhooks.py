"""Signed webhooks by the Standard Webhooks specification 1.0.0 (standardwebhooks.com), with its symmetric scheme."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

TOLERANCE_SECONDS = 5 * 60  # how old, or how far ahead of our clock, a message may be
SCHEME = "v1"
SECRET_PREFIX = "whsec_"  # noqa: S105  (what stands before a secret in base64)

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that go with a message; `timestamp` is when it is sent, in whole seconds since 1970."""
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secret, message_id, str(timestamp), body),
    }


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether one of the message's signatures is ours, and it was sent within TOLERANCE_SECONDS of `now`."""
    timestamp = headers.get(TIMESTAMP, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    expected = sign(secret, headers.get(ID, ""), timestamp, body).encode()
    return any(hmac.compare_digest(given, expected) for given in headers.get(SIGNATURE, "").encode().split())


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """One signature over id, timestamp and body."""
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(signing_key(secret), content, hashlib.sha256).digest()
    return f"{SCHEME},{base64.b64encode(digest).decode()}"


def signing_key(secret: str) -> bytes:
    """A secret with the prefix is base64 behind it, else raises ValueError; any other is the key itself."""
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return secret.encode()
