"""Tokens that try to choose how they are verified."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from extensions.security import ALGORITHM, Tokens
from settings.testing_config import TestingSettings
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from utils.custom_exc import NotAuthenticated

pytestmark = only_sqlite

Headers = dict[str, str]

OWN_KEY = "a key of the attacker's own, which is long enough"
CLAIMS = {"sub": "alice", "roles": ["admin"], "exp": 4_000_000_000}


def part(content: Any) -> bytes:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def forged(head: dict[str, Any], key: str = OWN_KEY, claims: Any = CLAIMS) -> str:
    signed = part(head) + b"." + part(claims)
    return (signed + b"." + part(hmac.new(key.encode(), signed, hashlib.sha256).digest())).decode()


def kid_of(settings: TestingSettings) -> str:
    kid: str = jwt.get_unverified_header(Tokens.of(settings).sign("a", frozenset(), 1))["kid"]
    return kid


OWN_JWK = {"kty": "oct", "k": part(OWN_KEY.encode()).decode()}

HEADS: dict[str, dict[str, Any]] = {
    "its own key": {"alg": ALGORITHM, "jwk": OWN_JWK},
    "its own key by address": {"alg": ALGORITHM, "jku": "https://evil.example/keys.json"},
    "its own certificate": {"alg": ALGORITHM, "x5u": "https://evil.example/a.pem", "x5c": ["AAAA"]},
    "a key from a file": {"alg": ALGORITHM, "kid": "../../../../../dev/null"},
    "a key from a database": {"alg": ALGORITHM, "kid": "x' UNION SELECT 'a key"},
    "a public key's algorithm": {"alg": "RS256"},
    "an algorithm that is a list": {"alg": [ALGORITHM]},
    "something that must be understood": {"alg": ALGORITHM, "crit": ["exp"], "exp": 1},
    "something packed": {"alg": ALGORITHM, "zip": "DEF"},
    "a giant key id": {"alg": ALGORITHM, "kid": "k" * 30_000},
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("names_our_key", [False, True])
def test_a_token_does_not_choose_its_key(
    client: TestClient, settings: TestingSettings, head: dict[str, Any], names_our_key: bool
) -> None:
    token = forged({"kid": kid_of(settings), **head} if names_our_key else head)
    answer = client.get("/accounts/users", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.json() == failure(NotAuthenticated, "The access token is not valid.")


@pytest.mark.parametrize("kid", ["../../../../../dev/null", "", None])
def test_an_empty_key_signs_nothing(client: TestClient, kid: str | None) -> None:
    """What a key read from /dev/null would be."""
    token = forged({"alg": ALGORITHM, "kid": kid}, key="")
    assert client.get("/accounts/users", headers={"Authorization": f"Bearer {token}"}).status_code == 401
