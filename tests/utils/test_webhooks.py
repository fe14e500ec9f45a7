"""Signed webhooks: what the specification's own example says, and that nothing else passes."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.webhooks import ID, SIGNATURE, TIMESTAMP, TOLERANCE_SECONDS, is_genuine, sign, signed_headers

NOW = 1_700_000_000
SECRET = "a secret of the tests"

secrets = st.text(string.ascii_letters + string.digits, min_size=1, max_size=40)
ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=40)
bodies = st.binary(max_size=200)


def test_the_example_of_the_specification() -> None:
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(secret=secrets, id_=ids, body=bodies, late=st.integers(-TOLERANCE_SECONDS, TOLERANCE_SECONDS))
def test_what_was_signed_is_genuine_for_five_minutes(secret: str, id_: str, body: bytes, late: int) -> None:
    assert is_genuine(secret, signed_headers(secret, id_, NOW, body), body, NOW + late)


@given(body=bodies, late=st.integers(TOLERANCE_SECONDS + 1, 10**9), sign_of=st.sampled_from([1, -1]))
def test_what_is_old_or_from_the_future_is_not(body: bytes, late: int, sign_of: int) -> None:
    assert not is_genuine(SECRET, signed_headers(SECRET, "msg", NOW, body), body, NOW + sign_of * late)


@given(
    secret=secrets, other=secrets, id_=ids, other_id=ids, body=bodies, other_body=bodies, other_time=st.integers(0, 9)
)
def test_another_secret_id_time_or_body_is_not(
    secret: str, other: str, id_: str, other_id: str, body: bytes, other_body: bytes, other_time: int
) -> None:
    headers = signed_headers(secret, id_, NOW, body)
    assert is_genuine(other, headers, body, NOW) == (other == secret)
    assert is_genuine(secret, {**headers, ID: other_id}, body, NOW) == (other_id == id_)
    assert is_genuine(secret, {**headers, TIMESTAMP: str(NOW + other_time)}, body, NOW) == (other_time == 0)
    assert is_genuine(secret, headers, other_body, NOW) == (other_body == body)


@given(
    others=st.lists(st.text(string.ascii_letters + "+/=,", min_size=1, max_size=20), max_size=5),
    place=st.integers(0, 5),
)
def test_one_right_signature_among_several_is_enough(others: list[str], place: int) -> None:
    headers = signed_headers(SECRET, "msg", NOW, b"{}")
    signatures = [f"v1,{other}" for other in others]
    assert not is_genuine(SECRET, {**headers, SIGNATURE: " ".join(signatures)}, b"{}", NOW)
    signatures.insert(place, headers[SIGNATURE])
    assert is_genuine(SECRET, {**headers, SIGNATURE: " ".join(signatures)}, b"{}", NOW)


@pytest.mark.parametrize("missing", [ID, TIMESTAMP, SIGNATURE])
def test_each_header_is_needed(missing: str) -> None:
    headers = signed_headers(SECRET, "msg", NOW, b"{}")
    del headers[missing]
    assert not is_genuine(SECRET, headers, b"{}", NOW)


@pytest.mark.parametrize("timestamp", ["", "now", "1.5", "-1", "١٧", "9" * 5000, f" {NOW}", f"{NOW}\n", "²"])
def test_a_time_is_whole_seconds(timestamp: str) -> None:
    headers = signed_headers(SECRET, "msg", NOW, b"{}") | {
        TIMESTAMP: timestamp,
        SIGNATURE: sign(SECRET, "msg", timestamp, b"{}"),
    }
    assert not is_genuine(SECRET, headers, b"{}", NOW)


def test_signatures_of_other_schemes_and_of_other_alphabets_are_passed_over() -> None:
    headers = signed_headers(SECRET, "msg", NOW, b"{}")
    digest = headers[SIGNATURE].partition(",")[2]
    assert not is_genuine(SECRET, {**headers, SIGNATURE: f"v1a,{digest} {digest} ÿ"}, b"{}", NOW)


def test_a_secret_may_be_base64_behind_its_prefix() -> None:
    secret = f"whsec_{base64.b64encode(SECRET.encode()).decode()}"
    assert sign(secret, "msg", str(NOW), b"{}") == sign(SECRET, "msg", str(NOW), b"{}")
