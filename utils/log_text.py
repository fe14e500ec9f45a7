"""What may stand in a log line: secrets masked, control characters made visible, times that sort."""

import re
import time
from functools import lru_cache

MASK = "***"
LONGEST_TARGET = 1000

_NAME = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|jwt|credentials?|authorization|set-cookie|cookie|signature"
    r"|(?:api|access|private|secret)[_-]?key|session[_-]?id)"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|["']?(?:(?:Bearer|Basic)\s+)?[^\s"'&,;)}\]]+)"""
# One capturing group per alternative: what is kept. Repeats are bounded, so that a hostile text costs linear time.
_SECRETS = re.compile(
    rf"""({_NAME}[\w-]{{0,20}}(?:["']?\s{{0,2}}[:=]|["'],)\s{{0,2}}(?:b(?=["']))?){_VALUE}"""  # password=…
    r"|(\b(?:Bearer|Basic)\s{1,2})[\w.~+/=-]{8,}"  # an Authorization header's value on its own
    r"|(://[^\s:/@]{0,100}:)\S{1,200}(?=@)"  # postgresql://user:…@host
    r"|(\beyJ)[\w-]{8,}\.[\w.-]+",  # a signed token on its own
    re.IGNORECASE,
)
# A percent sign in a parameter's name can hide one of the names above from us, but not from the server.
_QUERY_SECRETS = re.compile(rf"((?:{_NAME}|auth|%|(?<![a-z])(?:key|code|sig))[^=&]*=)[^&]+", re.IGNORECASE)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE).search
# Looked for first, because finding that there is nothing to mask must be cheap.
_SIGNS = ("pass", "pwd", "secret", "token", "jwt", "cred", "auth", "cookie", "key", "sig", "session", "code", "bearer")
_QUERY_SIGNS = (*_SIGNS, "%")
_TEXT_SIGNS = (*_SIGNS, "basic", "://", "eyj")
# C0 and C1 controls, line separators, direction overrides and lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def mask(text: str) -> str:
    """Replace passwords, tokens, cookies, `Authorization` values and passwords inside URLs."""
    if not _has_any(text, _TEXT_SIGNS):
        return text
    return _SECRETS.sub(lambda found: f"{found[found.lastindex or 0]}{MASK}", text)


def mask_query(query: str) -> str:
    """Replace the values of query parameters whose name speaks of a secret."""
    return _QUERY_SECRETS.sub(rf"\1{MASK}", query) if _has_any(query, _QUERY_SIGNS) else query


def is_secret_name(name: str) -> bool:
    """Whether a value bound under this name must not be written."""
    return _SECRET_NAME(name) is not None


def escape(text: str) -> str:
    r"""Show control characters as `\n`, `\x1b` …, so that a text stays on its line and paints nothing."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def target(path: bytes, query: bytes) -> str:
    """A request's path as it was sent (percent-encoded, so spaces cannot deceive) and its masked query."""
    text = path.decode("latin-1")
    if query:
        text = f"{text}?{mask_query(query[:LONGEST_TARGET].decode('latin-1'))}"
    if len(text) > LONGEST_TARGET:
        text = f"{text[:LONGEST_TARGET]}..."
    return text if text.isascii() and text.isprintable() else escape(text)


def indent(text: str) -> str:
    """The lines of a traceback, none of which can pass for a log line of its own."""
    return "".join(f"    {escape(line)}\n" for line in text.splitlines())


def local_stamp(seconds: float) -> str:
    """`2026-01-31 12:00:00.123` in local time, for people."""
    whole = int(seconds)
    return f"{_local_second(whole)}.{int((seconds - whole) * 1000):03d}"


def utc_stamp(seconds: float) -> str:
    """`2026-01-31T04:00:00.123Z`, RFC 3339 in UTC, for machines."""
    whole = int(seconds)
    return f"{_utc_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


def _has_any(text: str, signs: tuple[str, ...]) -> bool:
    lowered = text.lower()
    return any(sign in lowered for sign in signs)


@lru_cache(maxsize=8)
def _local_second(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


@lru_cache(maxsize=8)
def _utc_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
