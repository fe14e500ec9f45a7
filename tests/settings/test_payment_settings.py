"""The settings of paying: what shop and gateway share, and where they find each other."""

import secrets

import pytest
from pydantic import SecretStr, ValidationError

from commands.problems import MEND_CALLBACK, MEND_GATEWAY, find_doubts, unreachable_gateway
from settings import Problem
from settings.production_config import MIN_SECRET_LENGTH, ProductionSettings
from settings.testing_config import TestingSettings

ELSEWHERE = "https://pay.example.com/paymentdemo"
CALLBACK = "https://shop.example.com/shopdemo/payments/webhook"


def test_the_secret_follows_from_the_key_and_says_nothing_of_it() -> None:
    keys = {TestingSettings(secret_key=SecretStr(secret)).payment_key for secret in ("one", "another")}
    assert len(keys) == 2
    assert all(len(key) == 64 for key in keys)
    assert TestingSettings().payment_key == TestingSettings().payment_key


def test_a_secret_of_its_own_is_used_as_it_is() -> None:
    assert TestingSettings(payment_secret=SecretStr("whsec_c2VjcmV0")).payment_key == "whsec_c2VjcmV0"


@pytest.mark.parametrize("secret", ["whsec_c2VjcmV", "whsec_c2Vj cmV0", "whsec_密"])
def test_a_secret_of_the_specification_is_base64(secret: str) -> None:
    with pytest.raises(ValidationError, match="must be base64 behind whsec_"):
        TestingSettings(payment_secret=SecretStr(secret))


@pytest.mark.parametrize("url", ["", "paymentdemo", "ftp://a", "http://", "//a/b", "redis://127.0.0.1"])
def test_the_addresses_are_those_of_http(url: str) -> None:
    for name in ("payment_url", "payment_callback_url"):
        with pytest.raises(ValidationError):
            TestingSettings.model_validate({name: url})


def test_in_production_a_short_secret_is_refused() -> None:
    secret = secrets.token_hex(MIN_SECRET_LENGTH // 2)
    safe = ProductionSettings(
        _env_file=None, secret_key=SecretStr(secret), database_url="postgresql+asyncpg://u:p@host/shop"
    )
    assert safe.problems() == []
    (problem,) = safe.model_copy(update={"payment_secret": SecretStr("short")}).problems()
    assert (problem.setting, problem.reason) == (
        "APP_PAYMENT_SECRET",
        f"is shorter than {MIN_SECRET_LENGTH} characters",
    )


@pytest.mark.parametrize(
    ("projects", "changes"),
    [
        ((), {}),
        (("shopdemo", "paymentdemo"), {}),
        (("paymentdemo",), {}),
        (("accounts", "websocketdemo"), {}),
        (("shopdemo",), {"payment_url": ELSEWHERE, "payment_callback_url": CALLBACK}),
    ],
)
def test_a_gateway_that_can_be_reached(projects: tuple[str, ...], changes: dict[str, str]) -> None:
    assert unreachable_gateway(TestingSettings(projects=projects, **changes)) == []  # type: ignore[arg-type]


def test_the_shop_alone_needs_the_address_of_a_gateway() -> None:
    reason = "is http://self/paymentdemo, which does not run in this process"
    expected = [Problem("APP_PAYMENT_URL", reason, MEND_GATEWAY)]
    assert unreachable_gateway(TestingSettings(projects=("shopdemo",))) == expected


@pytest.mark.parametrize("url", ["http://self", "http://self/", "http://self/nothing/paymentdemo"])
def test_in_this_process_the_gateway_is_a_sub_project(url: str) -> None:
    (problem,) = unreachable_gateway(TestingSettings(payment_url=url))
    assert (problem.setting, problem.reason) == ("APP_PAYMENT_URL", f"is {url}, which does not run in this process")


def test_a_gateway_elsewhere_needs_the_address_of_the_shop() -> None:
    reason = "is http://self/shopdemo/payments/webhook, which the gateway would take for itself"
    expected = [Problem("APP_PAYMENT_CALLBACK_URL", reason, MEND_CALLBACK)]
    assert unreachable_gateway(TestingSettings(projects=("shopdemo",), payment_url=ELSEWHERE)) == expected


def test_in_production_the_simulated_gateway_is_hardly_meant() -> None:
    def doubts(payment_url: str) -> list[Problem]:
        return find_doubts(ProductionSettings(payment_url=payment_url, payment_callback_url=CALLBACK))

    reason = "is the simulated gateway: orders are paid with test cards"
    assert doubts("http://self/paymentdemo") == [Problem("APP_PAYMENT_URL", reason, MEND_GATEWAY)]
    assert doubts("https://pay.example.com") == []
    assert find_doubts(TestingSettings()) == []
