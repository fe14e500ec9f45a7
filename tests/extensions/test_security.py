"""Access tokens: only what our key signed, and only as long as it is valid."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from extensions.security import ALGORITHM, Tokens, User
from tests.support.catalogue import goods_body
from tests.support.databases import only_sqlite
from tests.support.envelopes import failure
from utils.custom_exc import Forbidden, NotAuthenticated

KEY = "a key that is long enough for this test"
INVALID = "The access token is not valid."
EXPIRED = "The access token has expired; get a new one."


def signed(key: str = KEY, algorithm: str = ALGORITHM, without: str = "", **changes: Any) -> str:
    claims = {"sub": "alice", "roles": ["admin"], "exp": datetime.now(UTC) + timedelta(days=1), **changes}
    claims.pop(without, None)
    return jwt.encode(claims, key, algorithm)


def unsigned(header: dict[str, Any]) -> str:
    claims = {"sub": "alice", "roles": ["admin"], "exp": 4_000_000_000}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return f"{'.'.join(parts)}."


def changed(token: str) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "mallory"}).encode()).decode().rstrip("=")
    return f"{head}.{forged}.{signature}"


TOKENS = {
    "another key": (signed("another key that is long enough too"), INVALID),
    "changed": (changed(signed()), INVALID),
    "expired": (signed(exp=datetime.now(UTC) - timedelta(minutes=1)), EXPIRED),
    "not valid yet": (signed(nbf=datetime.now(UTC) + timedelta(days=1)), INVALID),
    "no algorithm": (unsigned({"alg": "none", "typ": "JWT"}), INVALID),
    "no algorithm, in capitals": (unsigned({"alg": "NONE"}), INVALID),
    "another algorithm": (signed(KEY * 2, "HS512"), INVALID),
    "no subject": (signed(without="sub"), INVALID),
    "no end": (signed(without="exp"), INVALID),
    "no roles": (signed(without="roles"), INVALID),
    "roles as text": (signed(roles="admin"), INVALID),
    "roles as numbers": (signed(roles=[1]), INVALID),
    "subject as number": (signed(sub=1), INVALID),
    "end as text": (signed(exp="never"), INVALID),
    "nonsense": ("nonsense", INVALID),
    "dots": ("..", INVALID),
    "nothing": ("", INVALID),
}


def test_a_token_speaks_for_its_user() -> None:
    tokens = Tokens(KEY)
    assert tokens.verify(tokens.sign("爱丽丝", frozenset({"b", "a"}), 5)) == User("爱丽丝", frozenset({"a", "b"}))
    assert tokens.verify(tokens.sign("bob", frozenset(), 5)) == User("bob", frozenset())


@pytest.mark.parametrize(("token", "message"), TOKENS.values(), ids=TOKENS)
def test_what_is_no_token(token: str, message: str) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        Tokens(KEY).verify(token)
    assert caught.value.message == message


# -- several keys ---------------------------------------------------------------------------------------------------

NEXT_KEY = "the key that signs after this one has gone"


def test_keys_are_replaced_while_their_tokens_live() -> None:
    user = User("alice", frozenset({"admin"}))
    before, both, after, late = Tokens(KEY), Tokens(KEY, NEXT_KEY), Tokens(NEXT_KEY, KEY), Tokens(NEXT_KEY)
    old, new = before.sign("alice", user.roles, 5), after.sign("alice", user.roles, 5)
    assert both.verify(old) == both.verify(new) == after.verify(old) == after.verify(new) == late.verify(new) == user
    for tokens, token in ((before, new), (late, old)):
        with pytest.raises(NotAuthenticated, match=INVALID):
            tokens.verify(token)


def key_id(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def test_a_token_names_its_key() -> None:
    ids = [key_id(Tokens(key).sign("alice", frozenset(), 5)) for key in (KEY, KEY, NEXT_KEY)]
    assert ids[0] == ids[1] != ids[2]
    assert key_id(Tokens(NEXT_KEY, KEY).sign("alice", frozenset(), 5)) == ids[2]
    assert KEY not in ids[0]


@pytest.mark.parametrize("name", ["unknown", "", "the id of the other", 1, None, ["a"], {"a": 1}])
def test_a_key_that_is_named_must_be_the_one_that_signed(name: Any) -> None:
    tokens = Tokens(KEY, NEXT_KEY)
    claims = {"sub": "alice", "roles": ["admin"], "exp": datetime.now(UTC) + timedelta(days=1)}
    kid = key_id(Tokens(NEXT_KEY).sign("alice", frozenset(), 5)) if name == "the id of the other" else name
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part, default=lambda time: int(time.timestamp())).encode()).rstrip(b"=")
        for part in ({"alg": ALGORITHM, "kid": kid}, claims)
    )
    signature = hmac.new(KEY.encode(), head + b"." + body, hashlib.sha256).digest()
    token = b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()
    with pytest.raises(NotAuthenticated, match=INVALID):
        tokens.verify(token)


def test_without_a_name_only_the_key_that_signs_verifies() -> None:
    assert Tokens(KEY, NEXT_KEY).verify(signed(KEY)).name == "alice"
    with pytest.raises(NotAuthenticated, match=INVALID):
        Tokens(KEY, NEXT_KEY).verify(signed(NEXT_KEY))


# -- sealed values ----------------------------------------------------------------------------------------------------


def test_a_sealed_value_comes_back_for_its_purpose() -> None:
    tokens = Tokens(KEY)
    sealed = tokens.seal("cart", "价值 17", 1)
    assert tokens.unseal("cart", sealed) == Tokens(NEXT_KEY, KEY).unseal("cart", sealed) == "价值 17"
    assert tokens.unseal("another", sealed) is None
    assert tokens.unseal("cart", changed(sealed)) is None
    assert tokens.unseal("cart", tokens.seal("cart", "17", -1)) is None
    assert Tokens(NEXT_KEY).unseal("cart", sealed) is None
    for nonsense in ("", "..", "nonsense", "无", "a.b.c"):
        assert tokens.unseal("cart", nonsense) is None


def test_a_sealed_value_is_no_access_token_and_the_reverse() -> None:
    tokens = Tokens(KEY)
    with pytest.raises(NotAuthenticated, match=INVALID):
        tokens.verify(tokens.seal("cart", "alice", 1))
    with pytest.raises(NotAuthenticated, match=INVALID):
        tokens.verify(signed(aud="cart"))
    assert tokens.unseal("cart", tokens.sign("alice", frozenset(), 5)) is None


# -- in a request -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YWxpY2U6cGFzc3dvcmQ=", "bearer", "Token x", "Bearer x y", "Bearer \xff"],
)
@pytest.mark.parametrize("settings", [{"secret_key": KEY}], indirect=True)
@only_sqlite
def test_what_is_no_authorization(client: TestClient, header: str) -> None:
    answer = client.post("/shopdemo/goods", json=goods_body(), headers=[(b"Authorization", header.encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.json()["code"] == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("settings", [{"secret_key": KEY}], indirect=True)
@only_sqlite
def test_every_write_needs_the_role(client: TestClient) -> None:
    writes = [
        ("POST", "/shopdemo/goods"),
        ("PUT", "/shopdemo/goods/1"),
        ("PATCH", "/shopdemo/goods/1"),
        ("DELETE", "/shopdemo/goods/1"),
        ("POST", "/shopdemo/goods/import"),
        ("POST", "/shopdemo/goods/1/pictures"),
        ("DELETE", f"/shopdemo/goods/1/pictures/{'a' * 24}.webp"),
    ]
    for method, path in writes:
        body: Any = {"files": {"file": b"x"}} if path.endswith(("import", "pictures")) else {"json": goods_body()}
        body = {} if method == "DELETE" else body
        nobody = client.request(method, path, **body)
        assert (nobody.status_code, nobody.json()) == (401, failure(NotAuthenticated))
        expired = {"Authorization": f"Bearer {TOKENS['expired'][0]}"}
        late = client.request(method, path, headers=expired, **body)
        assert (late.status_code, late.json()) == (401, failure(NotAuthenticated, EXPIRED))
        for roles in ([], ["Admin"], ["administrator"], ["admin "]):
            customer = client.request(method, path, headers={"Authorization": f"Bearer {signed(roles=roles)}"}, **body)
            message = "This needs the role “admin”."
            assert (customer.status_code, customer.json()) == (403, failure(Forbidden, message))
