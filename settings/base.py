"""Every setting of the service, with its default; the environment overrides them as `APP_<NAME>`."""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from settings.addresses import LOOPBACK, read_broker, read_host, read_origin, read_proxies
from utils.webhooks import SECRET_PREFIX, signing_key

VAR = Path("var")
KIBIBYTE = 1024
MEBIBYTE = 1024 * 1024

MAX_PORT = 65535
MAX_WORKERS = 64
DATABASE_DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg")
PAYMENT_PURPOSE = b"payment gateway"  # so that what follows from the secret key is good for this only
URL_PATTERN = r"^https?://[^/\s]+"
HOST_PATTERN = r"^(\*\.)?([^*:/\s]+|\[[0-9A-Fa-f:.]+\])$"  # without a port
TLS_OPTIONS = frozenset({"ssl", "sslmode"})
TLS_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})

MEND_SECRET = 'set it to the output of: python -c "import secrets; print(secrets.token_urlsafe(48))"'  # noqa: S105
MEND_DATABASE = "set it to postgresql+asyncpg://user:password@host/name, or to sqlite+aiosqlite:////absolute/path.db"

Names = Annotated[tuple[str, ...], NoDecode]
HostNames = Annotated[tuple[Annotated[str, Field(pattern=HOST_PATTERN)], ...], NoDecode]
Host = Annotated[str, AfterValidator(read_host)]
BrokerUrl = Annotated[str, AfterValidator(read_broker)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(read_origin)], ...], NoDecode]
Proxies = Annotated[str, AfterValidator(read_proxies)]
SecretNames = Annotated[tuple[SecretStr, ...], NoDecode]


@dataclass(frozen=True)
class Problem:
    """One reason not to start: the setting, what is wrong with it, and how to mend it."""

    setting: str
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.reason} → {self.mend}"


class Settings(BaseSettings):
    """What all environments share. Sizes are bytes, times are seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="APP_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    env: Literal["development", "testing", "production"] = Field(
        "development", description="What the defaults are for; production refuses what is unsafe."
    )
    debug: bool = Field(False, description="Verbose log; never changes what a client sees.")
    projects: Names = Field((), description="Sub-projects to run, separated by commas; empty means all.")

    host: Host = Field(LOOPBACK, description="Address to listen on; 0.0.0.0 is all of IPv4.")
    port: int = Field(8010, ge=0, le=MAX_PORT, description="Port to listen on; 0 is any that is free.")
    workers: int = Field(1, ge=1, le=MAX_WORKERS, description="Worker processes.")
    grace_seconds: int = Field(20, ge=1, le=600, description="Time for requests in flight when the service stops.")
    trusted_proxies: Proxies = Field(
        "127.0.0.1",
        description="Addresses and networks, separated by commas, whose X-Forwarded-… headers are believed.",
    )

    database_url: str = Field(
        "sqlite+aiosqlite:///var/development.db",
        description="postgresql+asyncpg://user:password@host/name, or sqlite+aiosqlite:////absolute/path.db.",
    )
    database_pool_size: int = Field(
        10, ge=1, le=200, description="Connections of one worker for reads; as many for short writes, and for long."
    )
    cache_bytes: int = Field(32 * MEBIBYTE, ge=0, description="Memory of one worker for ready answers; 0 turns it off.")

    broker_url: BrokerUrl = Field(
        "memory://", description="memory:// for one process; redis://host:6379/0 for many workers and machines."
    )

    secret_key: SecretStr = Field(SecretStr(""), description="Signs tokens and cookies, and verifies them.")
    accepted_keys: SecretNames = Field(
        (), description="Keys that verify too, separated by commas: the former one, and the next one before it signs."
    )
    token_minutes: int = Field(15, ge=1, le=60 * 24 * 365, description="How long an access token is valid.")
    session_days: int = Field(30, ge=1, le=366, description="For so long a login can be refreshed.")
    password_min_length: int = Field(15, ge=8, le=64, description="Characters; NIST SP 800-63B-4 asks for 15.")
    password_memory_kib: int = Field(
        19 * 1024, ge=1024, le=1024 * 1024, description="Memory for hashing one password with argon2id."
    )

    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Less important lines are not logged."
    )
    log_json: bool = Field(False, description="Lines of JSON for machines instead of lines for people.")
    log_dir: Path | None = Field(VAR / "logs", description="Folder of the dated error files; empty means none.")
    access_log: bool = Field(True, description="A line for each request.")
    otlp_endpoint: str = Field(
        "",
        description="A collector that takes traces by OTLP over HTTP, such as http://127.0.0.1:4318; empty: no traces.",
    )

    cors_origins: Origins = Field(
        (), description="Origins such as https://shop.example.com whose pages may call, separated by commas, or *."
    )
    cors_credentials: bool = Field(
        False, description="Whether these pages may send cookies along, which a guest's cart needs; not with *."
    )
    allowed_hosts: HostNames = Field(
        (),
        description="Host headers that are answered, *.example.com among them; others get 400, "
        "but for /healthz, /readyz and /metrics. Empty means any.",
    )

    max_body_bytes: int = Field(MEBIBYTE, ge=1024, description="Size of the body of a request.")
    max_picture_pixels: int = Field(
        40_000_000, ge=1, description="Width × height of an uploaded picture; decoding it takes up to 18 bytes of each."
    )
    pictures_dir: Path = Field(VAR / "pictures", description="Folder of the pictures of goods.")

    rate_per_user: int = Field(
        0, ge=0, le=1_000_000, description="Requests that a user may send in a minute; 0 means any number."
    )
    rate_per_address: int = Field(
        0, ge=0, le=1_000_000, description="Requests without a token that an address may send in a minute; 0: any."
    )
    max_under_way: int = Field(
        1000, ge=1, description="Requests of one worker under way at a time; more are answered with 503."
    )
    max_wait_seconds: float = Field(
        1.0, gt=0, le=60, description="A request that would wait for its turn for longer is answered with 503."
    )

    cart_days: int = Field(30, ge=1, le=366, description="For so long a guest's cart is kept after its last change.")
    order_minutes: int = Field(30, ge=1, le=60 * 24 * 30, description="For so long an order waits for its payment.")
    payment_url: str = Field(
        "http://self/paymentdemo",
        pattern=URL_PATTERN,
        description="The payment gateway; the host `self` is this process, without a socket.",
    )
    payment_callback_url: str = Field(
        "http://self/shopdemo/payments/webhook", pattern=URL_PATTERN, description="Where the gateway reaches the shop."
    )
    payment_secret: SecretStr = Field(
        SecretStr(""), description="Shared with the payment gateway; empty: derived from APP_SECRET_KEY."
    )

    guests: bool = Field(False, description="Whether the chat lets people in who have no token.")
    chat_frame_bytes: int = Field(16 * KIBIBYTE, ge=256, le=MEBIBYTE, description="Size of a frame from a client.")
    chat_messages_per_second: int = Field(100, ge=1, description="From one socket; it may save up 3 seconds of it.")
    chat_sockets_per_user: int = Field(20, ge=1, description="Open sockets of one user on one worker.")
    chat_sockets_per_address: int = Field(2_000, ge=1, description="Open sockets from one address on one worker.")
    chat_rooms_per_user: int = Field(50, ge=1, description="Rooms that one user is in on one worker.")
    chat_outbound_bytes: int = Field(
        MEBIBYTE, ge=64 * KIBIBYTE, description="What may wait for one client; with more it is closed as too slow."
    )
    chat_keep_messages: int = Field(10_000, ge=1, description="Messages kept of each room.")
    chat_keep_days: int = Field(30, ge=1, description="Days for which messages are kept.")

    @field_validator("projects", "cors_origins", "allowed_hosts", "accepted_keys", mode="before")
    @classmethod
    def split_names(cls, value: Any) -> Any:
        """Read `a, b` from the environment as two names."""
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("log_dir", mode="before")
    @classmethod
    def empty_is_none(cls, value: Any) -> Any:
        """Let `APP_LOG_DIR=` turn the error files off."""
        return None if value == "" else value

    @field_validator("otlp_endpoint")
    @classmethod
    def usable_endpoint(cls, value: str) -> str:
        """Refuse what would fail later, in the background."""
        try:
            url = AnyHttpUrl(value or "http://none")
        except ValidationError:
            url = None
        if url is None or url.query or url.fragment:
            raise ValueError("must be the address of a collector, such as http://127.0.0.1:4318, or empty")
        return value

    @field_validator("payment_secret")
    @classmethod
    def usable_secret(cls, value: SecretStr) -> SecretStr:
        """Refuse a secret of the Standard Webhooks specification that is broken."""
        try:
            signing_key(value.get_secret_value())
        except ValueError:
            raise ValueError(f"must be base64 behind {SECRET_PREFIX}, or not begin with it") from None
        return value

    @field_validator("database_url")
    @classmethod
    def known_driver(cls, value: str) -> str:
        """Refuse drivers that would block the event loop or are not tested, and URLs that cannot be meant."""
        if value and (reason := _why_refused(value)):  # an empty one is missing, which `problems` says
            raise ValueError(reason)
        return value

    @property
    def payment_key(self) -> str:
        """What shop and payment gateway share: the API key, and what webhooks are signed with."""
        own = self.payment_secret.get_secret_value()
        return own or hmac.new(self.secret_key.get_secret_value().encode(), PAYMENT_PURPOSE, hashlib.sha256).hexdigest()

    def problems(self) -> list[Problem]:
        """Every reason not to start with these settings, each with its mend."""
        found = []
        if self.cors_credentials and "*" in self.cors_origins:
            mend = "name the origins, or set APP_CORS_CREDENTIALS=false"
            found.append(Problem("APP_CORS_ORIGINS", "is * together with APP_CORS_CREDENTIALS", mend))
        if not self.secret_key.get_secret_value():
            found.append(Problem("APP_SECRET_KEY", "is missing", MEND_SECRET))
        if not self.database_url:
            found.append(Problem("APP_DATABASE_URL", "is missing", MEND_DATABASE))
        return found


def _why_refused(database_url: str) -> str | None:
    if database_url.partition("://")[0] not in DATABASE_DRIVERS:
        return f"must begin with {' or '.join(f'{driver}://' for driver in DATABASE_DRIVERS)}"
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        return "cannot be read as a URL; special characters of a password are written as %XX"
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite and (url.host or url.database in (None, "", ":memory:")):
        return "must name a file: in memory nothing outlives its connection"
    if unknown := sorted(url.query.keys() - (() if is_sqlite else TLS_OPTIONS)):
        return f"has options that are not known here: {', '.join(unknown)}"
    if len(url.query) > 1 or not set(url.query.values()) <= TLS_MODES:
        return f"may end in one ?ssl= with one of {', '.join(sorted(TLS_MODES))}"
    return None
