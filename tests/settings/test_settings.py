"""Settings: read from the environment and .env, judged before anything starts, and never changed afterwards."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from settings import Problem, SettingsError, examine_settings, get_settings
from settings.base import Settings
from settings.development_config import DevelopmentSettings
from settings.production_config import ProductionSettings
from settings.testing_config import TestingSettings
from tests.support.guards import OWN_DATA, TouchedOwnData, forget_settings

SECRET = "0123456789abcdef" * 2
RELATIVE = "is a relative path: it depends on the folder of the start"
NO_ORIGIN = (
    "is no origin: browsers send scheme://host or scheme://host:port, "
    "in small letters, without a path and without the usual port"
)
IN_MEMORY = "must name a file: in memory nothing outlives its connection"
FEW_CHARACTERS = "has fewer than 8 different characters"
UNREADABLE = "cannot be read as a URL; special characters of a password are written as %XX"
BAD_TLS = "may end in one ?ssl= with one of allow, disable, prefer, require, verify-ca, verify-full"
POSTGRES = "postgresql+asyncpg://u:the-password@host"
PROXIES = ["10.77.0.10", "10.200.3.4", "::1", "0:0::1", "fd12::1", "unix:"]
STRANGERS = ["127.0.0.1", "11.0.0.1", "fe80::1", "nginx", ""]
SAFE = {"APP_ENV": "production", "APP_SECRET_KEY": SECRET, "APP_DATABASE_URL": "postgresql+asyncpg://u:p@host/shop"}


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, so that no .env is found; nothing is remembered."""
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


async def no_application(scope: object, receive: object, send: object) -> None:
    """What is never asked."""


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[Settings, list[str]]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings, problems = examine_settings()
    return settings, [f"{problem.setting} {problem.reason}" for problem in problems]


def test_development_needs_nothing() -> None:
    settings = get_settings()
    assert isinstance(settings, DevelopmentSettings)
    assert (settings.host, settings.port, settings.debug) == ("127.0.0.1", 8010, True)
    assert settings.database_url == "sqlite+aiosqlite:///var/development.db"
    assert get_settings() is settings


def test_the_environment_chooses_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, problems = read(
        monkeypatch, APP_ENV="testing", APP_PORT="9000", APP_PROJECTS="shopdemo, other", app_log_dir="", APP_TEST_X="1"
    )
    assert problems == []
    assert isinstance(settings, TestingSettings)
    assert (settings.port, settings.projects, settings.log_dir) == (9000, ("shopdemo", "other"), None)


def test_the_file_is_read_and_the_environment_goes_before_it(somewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (somewhere / ".env").write_text("APP_PORT=9000\nAPP_HOST=0.0.0.0\nOTHER=1\n", encoding="utf-8")
    settings, problems = read(monkeypatch, APP_PORT="9001")
    assert (settings.port, settings.host, problems) == (9001, "0.0.0.0", [])


def test_the_file_may_choose_the_environment_but_tests_do_not_read_the_rest(somewhere: Path) -> None:
    (somewhere / ".env").write_text("APP_ENV=testing\nAPP_PORT=9000\nAPP_NONSENSE=1\n", encoding="utf-8")
    settings, problems = examine_settings()
    assert (settings.env, settings.port, problems) == ("testing", 8010, [])


def test_an_unknown_key_names_the_nearest(somewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (somewhere / ".env").write_text("APP_DATABSE_URL=x\n", encoding="utf-8")
    monkeypatch.setenv("APP_PROT", "1")
    _, problems = examine_settings()
    assert problems == [
        Problem("APP_DATABSE_URL", "is not a setting", "did you mean APP_DATABASE_URL?"),
        Problem("APP_PROT", "is not a setting", "did you mean APP_PORT?"),
    ]
    with pytest.raises(SettingsError) as caught:
        get_settings()
    assert str(caught.value) == (
        "The settings are not usable:\n"
        "  - APP_DATABSE_URL: is not a setting → did you mean APP_DATABASE_URL?\n"
        "  - APP_PROT: is not a setting → did you mean APP_PORT?"
    )


def test_an_unknown_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, APP_ENV="prod")[1] == ["APP_ENV is “prod”"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_PORT", "many"),
        ("APP_PORT", "70000"),
        ("APP_WORKERS", "0"),
        ("APP_DEBUG", "perhaps"),
        ("APP_LOG_LEVEL", "LOUD"),
        ("APP_DATABASE_URL", "mysql://host/shop"),
        ("APP_DATABASE_URL", "sqlite:///sync.db"),
        ("APP_MAX_BODY_BYTES", "1"),
        ("APP_ALLOWED_HOSTS", "*"),
        ("APP_ALLOWED_HOSTS", "shop.example, shop.example:8010"),
        ("APP_ALLOWED_HOSTS", "https://shop.example"),
    ],
)
def test_values_that_do_not_fit(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    _, problems = read(monkeypatch, **{name: value})
    assert [problem.split()[0] for problem in problems] == [name]


@pytest.mark.parametrize("environment", ["development", "testing", "production"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is missing"),
        ("nonsense", "must begin with sqlite+aiosqlite:// or postgresql+asyncpg://"),
        ("sqlite+aiosqlite://", IN_MEMORY),
        ("sqlite+aiosqlite:///", IN_MEMORY),
        ("sqlite+aiosqlite:///:memory:", IN_MEMORY),
        ("sqlite+aiosqlite:////shop.db?mode=memory", "has options that are not known here: mode"),
        (f"{POSTGRES}:port/shop", UNREADABLE),
        (f"{POSTGRES}/shop?sslmode=require&sslcert=a&pool=1", "has options that are not known here: pool, sslcert"),
        (f"{POSTGRES}/shop?ssl=true", BAD_TLS),
        (f"{POSTGRES}/shop?ssl=require&ssl=prefer", BAD_TLS),
        (f"{POSTGRES}/shop?ssl=require&sslmode=prefer", BAD_TLS),
    ],
)
def test_a_database_that_cannot_be_meant(
    monkeypatch: pytest.MonkeyPatch, environment: str, url: str, reason: str
) -> None:
    settings = {**SAFE, "APP_ENV": environment, "APP_DATABASE_URL": url}
    assert read(monkeypatch, **settings)[1] == [f"APP_DATABASE_URL {reason}"]


@pytest.mark.parametrize("option", ["", "?ssl=require", "?sslmode=verify-full"])
def test_a_database_may_be_encrypted(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    assert read(monkeypatch, APP_DATABASE_URL=f"{POSTGRES}/shop{option}")[1] == []


@pytest.mark.parametrize("environment", ["development", "testing", "production"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("10.0.0.300", "'10.0.0.300' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("nginx", "'nginx' does not appear to be an IPv4 or IPv6 network"),
        ("*", "'*' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_proxy_that_nobody_is(monkeypatch: pytest.MonkeyPatch, environment: str, name: str, reason: str) -> None:
    settings = {**SAFE, "APP_ENV": environment, "APP_TRUSTED_PROXIES": f"127.0.0.1,{name}"}
    expected = f"APP_TRUSTED_PROXIES “{name}” is neither an address nor a network: {reason}"
    assert read(monkeypatch, **settings)[1] == [expected]


def test_proxies_are_handed_on_as_uvicorn_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = " 10.77.0.10, 10.0.0.0/8,::1 ,fd00::/8,unix:,"
    settings, problems = read(monkeypatch, **SAFE, APP_TRUSTED_PROXIES=written)
    assert (problems, settings.trusted_proxies) == ([], "10.77.0.10,10.0.0.0/8,::1,fd00::/8,unix:")
    trusted = ProxyHeadersMiddleware(no_application, settings.trusted_proxies).trusted_hosts
    assert [client for client in PROXIES if client in trusted] == PROXIES
    assert [client for client in STRANGERS if client in trusted] == []
    settings, problems = read(monkeypatch, **SAFE, APP_TRUSTED_PROXIES="")
    assert (problems, settings.trusted_proxies) == ([], "")


@pytest.mark.parametrize("environment", ["development", "testing", "production"])
@pytest.mark.parametrize(
    "origin",
    [
        "null", "shop.example.com", "https://shop.example.com/", "https://Shop.example.com", "https://店.example.com",
        "https://*.example.com", "https://shop.example.com:443", "http://127.0.0.1:80", "https://user@shop.example.com",
    ],
)  # fmt: skip
def test_an_origin_that_no_page_has(monkeypatch: pytest.MonkeyPatch, environment: str, origin: str) -> None:
    settings = {**SAFE, "APP_ENV": environment, "APP_CORS_ORIGINS": f"https://shop.example.com,{origin}"}
    assert read(monkeypatch, **settings)[1] == [f"APP_CORS_ORIGINS “{origin}” {NO_ORIGIN}"]


def test_origins_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = ("https://shop.example.com", "http://localhost:5173", "http://[::1]:8080", "capacitor://localhost")
    settings, problems = read(monkeypatch, **SAFE, APP_CORS_ORIGINS=", ".join(origins))
    assert (problems, settings.cors_origins) == ([], origins)


@pytest.mark.parametrize("environment", ["development", "testing", "production"])
def test_an_empty_secret_is_refused_everywhere(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    settings = {**SAFE, "APP_ENV": environment, "APP_SECRET_KEY": ""}
    assert read(monkeypatch, **settings)[1] == ["APP_SECRET_KEY is missing"]


def test_production_refuses_with_all_reasons_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, problems = read(
        monkeypatch,
        APP_ENV="production",
        APP_DEBUG="true",
        APP_CORS_ORIGINS="*",
        APP_CORS_CREDENTIALS="true",
        APP_TRUSTED_PROXIES="*",
        APP_WORKERS="none",
        APP_SECRET="x",
    )
    assert [problem.split()[0] for problem in problems] == [
        "APP_SECRET",
        "APP_WORKERS",
        "APP_CORS_ORIGINS",
        "APP_SECRET_KEY",
        "APP_DATABASE_URL",
        "APP_DEBUG",
        "APP_TRUSTED_PROXIES",
    ]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("APP_SECRET_KEY", "", "is missing"),
        ("APP_SECRET_KEY", SECRET[:31], "is shorter than 32 characters"),
        ("APP_SECRET_KEY", "a" * 36, FEW_CHARACTERS),
        ("APP_SECRET_KEY", " " * 40, FEW_CHARACTERS),
        ("APP_SECRET_KEY", "password" * 8, FEW_CHARACTERS),
        ("APP_PAYMENT_SECRET", "whsec_" + "A" * 40, FEW_CHARACTERS),
        ("APP_SECRET_KEY", "development-only-secret-known-to-everyone", "is a default that everyone knows"),
        ("APP_SECRET_KEY", "testing-only-secret-known-to-everyone", "is a default that everyone knows"),
        ("APP_DATABASE_URL", "", "is missing"),
        (
            "APP_DATABASE_URL",
            "sqlite+aiosqlite:///var/shop.db",
            RELATIVE,
        ),
        ("APP_TRUSTED_PROXIES", " * ", "is *: any client can forge its address"),
        ("APP_TRUSTED_PROXIES", "0.0.0.0/0", "is 0.0.0.0/0: any client can forge its address"),
        ("APP_TRUSTED_PROXIES", "10.0.0.1, ::/0", "is 10.0.0.1,::/0: any client can forge its address"),
        ("APP_DEBUG", "1", "is on"),
    ],
)
def test_production_is_strict(monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
    settings, problems = read(monkeypatch, **{**SAFE, name: value})
    assert isinstance(settings, ProductionSettings)
    assert problems == [f"{name} {reason}"]


def test_keys_that_verify_too_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    former, following = SECRET[::-1], SECRET.upper()
    settings, problems = read(monkeypatch, **SAFE, APP_ACCEPTED_KEYS=f" {former},{following} ,")
    assert problems == []
    assert [key.get_secret_value() for key in settings.accepted_keys] == [former, following]
    assert former not in f"{settings!r} {settings.model_dump()}"


def test_production_refuses_keys_that_verify_and_are_not_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    known = "development-only-secret-known-to-everyone"
    _, problems = read(monkeypatch, **SAFE, APP_ACCEPTED_KEYS=f"{SECRET},short,{known}")
    assert problems == [
        "APP_ACCEPTED_KEYS is shorter than 32 characters",
        "APP_ACCEPTED_KEYS is a default that everyone knows",
    ]


def test_production_with_safe_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, problems = read(monkeypatch, **SAFE)
    assert (problems, settings.debug, settings.log_json, settings.cors_origins) == ([], False, True, ())
    assert read(monkeypatch, **SAFE, APP_CORS_ORIGINS="*")[1] == []


@pytest.mark.parametrize("settings", [TestingSettings(), DevelopmentSettings(_env_file=None)])
def test_settings_are_frozen(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_secrets_are_not_shown() -> None:
    settings: Any = TestingSettings(secret_key=SecretStr("the-secret"))
    assert "the-secret" not in f"{settings!r} {settings} {settings.model_dump()}"


# -- the guards of the tests themselves -------------------------------------------------------------------------------


def test_settings_of_the_developer_are_forgotten() -> None:
    environment = {"APP_DATABASE_URL": "x", "app_port": "1", "APP_TEST_POSTGRES_URL": "y", "PATH": "z", "MYAPP_X": "1"}
    forget_settings(environment)
    assert environment == {"APP_TEST_POSTGRES_URL": "y", "PATH": "z", "MYAPP_X": "1"}


def test_data_of_the_developer_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    file = OWN_DATA / "development.db"
    monkeypatch.chdir(OWN_DATA.parent)
    for touch in (
        lambda: sqlite3.connect(file),
        lambda: sqlite3.connect("var/development.db"),
        lambda: sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True),
        lambda: file.write_bytes(b""),
        (OWN_DATA / "pictures" / "1" / "a.webp").unlink,
        (OWN_DATA / "new").mkdir,
        lambda: file.rename("elsewhere"),
    ):
        with pytest.raises(TouchedOwnData):
            touch()
