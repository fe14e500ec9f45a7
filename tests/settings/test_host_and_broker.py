"""Where the service listens, and where its broker is: what cannot be meant is refused before anything starts."""

from pathlib import Path

import pytest

from settings import examine_settings

UNREADABLE = "cannot be read, or has no port up to 65535; special characters of a password are written as %XX"
NO_NUMBER = "must end in the number of a database, such as /0"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, so that no .env is found."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_host_is_the_default_and_not_every_address(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("APP_HOST", value)
    settings, problems = examine_settings()
    assert (settings.host, problems) == ("127.0.0.1", [])


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "redis://",
        "redis://:the-password@[::1]:6379/15?prefix=shop:",
        "redis://host/?db=3",
        "rediss://user:the-password@host:0/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none",
    ],
)
def test_a_broker(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("APP_BROKER_URL", url)
    settings, problems = examine_settings()
    assert (settings.broker_url, problems) == (url, [])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory", "must begin with memory:// or redis:// or rediss://"),
        ("amqp://host", "must begin with memory:// or redis:// or rediss://"),
        ("redis://127.0.0.1:99999/0", UNREADABLE),
        ("redis://127.0.0.1:port/0", UNREADABLE),
        ("redis://[::1/0", UNREADABLE),
        ("redis://user:the-pass#word@host/0", UNREADABLE),
        ("redis://host/shop", NO_NUMBER),
        ("redis://host/-1", NO_NUMBER),
        ("redis://host/0?db=shop", NO_NUMBER),
        ("redis://host/0?timeout=1&prefix=a&pool=2", "has options that are not known here: pool, timeout"),
        ("redis://host/0?ssl_cert_reqs=none", "has options that are not known here: ssl_cert_reqs"),
        ("rediss://host/0?ssl_cert_reqs=no", "may have ?ssl_cert_reqs= with one of required, optional, none"),
    ],
)
def test_a_broker_that_cannot_be_meant(monkeypatch: pytest.MonkeyPatch, url: str, reason: str) -> None:
    monkeypatch.setenv("APP_BROKER_URL", url)
    settings, problems = examine_settings()
    assert [(problem.setting, problem.reason) for problem in problems] == [("APP_BROKER_URL", reason)]
    assert settings.broker_url == "memory://"
