"""Addresses in settings: what can never match is refused, because nobody would notice it later."""

import re
from ipaddress import ip_network
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"
BROKER_SCHEMES = ("memory", "redis", "rediss")
BROKER_OPTIONS = frozenset({"db", "prefix"})
BROKER_TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile"})
CERTIFICATES = ("required", "optional", "none")
ANYBODY = "*"
UNIX_SOCKET = "unix:"  # what nginx calls a proxy in X-Forwarded-For that came to it through a socket file
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
USUAL_PORT = re.compile(r"http://.*:80|https://.*:443")


def read_proxies(value: str) -> str:
    """Addresses and networks, or `*`. uvicorn would take anything else for a name, which no client has."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if names != [ANYBODY]:
        for name in names:
            _refuse_unless_network(name)
    return ",".join(names)


def trusts_anybody(proxies: str) -> bool:
    """Whether every client of IPv4 or of IPv6 is believed."""
    return any(
        name == ANYBODY or (name != UNIX_SOCKET and ip_network(name).prefixlen == 0)
        for name in filter(None, proxies.split(","))
    )


def read_origin(value: str) -> str:
    """An origin as browsers send it, or `*`; never `null`, which is every page in a sandboxed frame."""
    if value != ANYBODY and (not ORIGIN.fullmatch(value) or USUAL_PORT.fullmatch(value)):
        raise ValueError(
            f"“{value}” is no origin: browsers send scheme://host or scheme://host:port, "
            "in small letters, without a path and without the usual port"
        )
    return value


def read_host(value: str) -> str:
    """An address to listen on. An empty one is none: the event loop would take it for all of this machine."""
    return value.strip() or LOOPBACK


def read_broker(value: str) -> str:
    """Where the broker is, with nothing in it that its client would refuse when it is first used."""
    scheme, separator, _ = value.partition("://")
    if not separator or scheme not in BROKER_SCHEMES:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in BROKER_SCHEMES)}")
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:  # whose text may hold a part of the password
        raise ValueError(
            "cannot be read, or has no port up to 65535; special characters of a password are written as %XX"
        ) from None
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    known = BROKER_OPTIONS | BROKER_TLS_OPTIONS if scheme == "rediss" else BROKER_OPTIONS
    if unknown := sorted(options.keys() - known):
        raise ValueError(f"has options that are not known here: {', '.join(unknown)}")
    if not (options.get("db") or url.path.strip("/") or "0").isdecimal():
        raise ValueError("must end in the number of a database, such as /0")
    if options.get("ssl_cert_reqs", CERTIFICATES[0]) not in CERTIFICATES:
        raise ValueError(f"may have ?ssl_cert_reqs= with one of {', '.join(CERTIFICATES)}")
    return value


def _refuse_unless_network(name: str) -> None:
    try:
        if name != UNIX_SOCKET:
            ip_network(name)
    except ValueError as error:
        raise ValueError(f"“{name}” is neither an address nor a network: {error}") from None
