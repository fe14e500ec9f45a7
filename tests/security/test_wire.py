"""Bytes that two programs could read as different requests, sent to the service itself and through our nginx.

Each attack carries a second request for /metrics, which nginx keeps to itself. Nobody may ever answer it, and what
came in behind an attack must be answered as if nothing had been.
"""

import re
import socket
from collections.abc import Iterator

import pytest

from api import SECURITY_HEADERS
from tests.support.databases import SqliteTemplate
from tests.support.processes import PATIENCE, Process, environment_of, services, wait_until
from tests.support.proxies import shipped_nginx

pytestmark = pytest.mark.slow

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = b"POST /shopdemo/goods HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# What neither may take for two requests, nor for one of another length.
AMBIGUOUS = {
    "CL.TE": POST + b"Content-Length: 6\r\n" + CHUNKED + b"\r\n0\r\n\r\nX" + HIDDEN,
    "TE.CL": POST + CHUNKED + b"Content-Length: 4\r\n\r\n24\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
    "TE of another name": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "TE twice": POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "TE that ends in another": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a vertical tab before the value": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded value": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a header behind a bare CR": POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a NUL": POST + b"X: y\x00\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "the same length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 0, 35\r\n\r\n" + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +35\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x23\r\n\r\n" + HIDDEN,
    "a length too large": POST + b"Content-Length: 18446744073709551651\r\n\r\n" + HIDDEN,
    "a length in other digits": POST + "Content-Length: ٣٥\r\n\r\n".encode() + HIDDEN,
    "a chunk's length in hexadecimal": POST + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "a chunk's length too large": POST + CHUNKED + b"\r\n10000000000000002\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "a chunk that is longer": POST + CHUNKED + b"\r\n2\r\n{}X\r\n0\r\n\r\n" + HIDDEN,
    "another host's tunnel": b"CONNECT metrics:80 HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
}

# What nginx mends and the service alone refuses.
LENIENT = {
    "lines that end in LF": b"GET /healthz HTTP/1.1\nHost: x\n\n" + LAST,
    "a header behind LF": POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + LAST,
    "a chunk that ends in LF": POST + CHUNKED + b"\r\n2\n{}\n0\n\n" + LAST,
    "a blank behind a chunk's length": POST + CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n" + LAST,
    "a length behind the chunks": POST + CHUNKED + b"\r\n0\r\nContent-Length: 35\r\n\r\n" + LAST,
}


def ask(port: int, sent: bytes) -> list[int]:
    """The status of each answer, until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(sent)
        answered = b""
        while chunk := connection.recv(65536):
            answered += chunk
    return [int(status) for status in STATUS.findall(answered)]


@pytest.fixture(scope="module")
def service(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One whose access lines are read."""
    folder = tmp_path_factory.mktemp("service")
    with (
        sqlite_template.copy(folder) as url,
        services(1, environment_of("", url, APP_LOG_LEVEL="INFO"), folder) as (process,),
    ):
        yield process


@pytest.fixture(scope="module")
def proxy(service: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of our nginx before it."""
    with shipped_nginx(tmp_path_factory.mktemp("proxy") / "nginx", [service, service]) as port:
        yield port


def assert_never_asked(service: Process) -> None:
    """No line is missing any more, and none is of what was hidden."""
    asked = service.said().count("GET /healthz 200")
    assert ask(service.port, LAST) == [200]
    wait_until(lambda: service.said().count("GET /healthz 200") > asked, PATIENCE, "a line is missing")
    assert "/metrics" not in service.said()


@pytest.mark.parametrize("attack", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_could_be_two_requests_is_none(service: Process, attack: bytes) -> None:
    assert ask(service.port, attack) == [400]
    assert_never_asked(service)


@pytest.mark.parametrize("attack", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_nginx_lets_nothing_through_that_could_be_two(service: Process, proxy: int, attack: bytes) -> None:
    (refused,) = ask(proxy, attack)
    assert refused in (400, 405, 501, 505)
    assert ask(proxy, LAST) == [200]  # on a connection to the service that an attack could have used
    assert_never_asked(service)


@pytest.mark.parametrize("sent", LENIENT.values(), ids=LENIENT)
def test_nginx_writes_requests_anew(service: Process, proxy: int, sent: bytes) -> None:
    assert ask(service.port, sent) == [400]
    assert ask(proxy, sent) in ([200, 200], [415, 200], [401, 200])


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (GET + b"Host: x\r\nConnection: close\r\n\r\n" + HIDDEN, [200]),
        (GET + b"Host: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n" + HIDDEN, [200]),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200]),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
        (POST + CHUNKED + b"\r\n2;name=value\r\n{}\r\n0\r\n\r\n" + LAST, [415, 200]),
        (b"GET metrics HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    ],
    ids=[
        "behind the end",
        "an upgrade to HTTP/2",
        "another host",
        "no ASCII",
        "a long address",
        "a chunk's extension",
        "no slash",
    ],
)
def test_what_is_left_is_read_once(service: Process, sent: bytes, statuses: list[int]) -> None:
    assert ask(service.port, sent) == statuses
    assert_never_asked(service)


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../../pyproject.toml", b"/static/..%2f..%2fpyproject.toml", b"/static/%2e%2e/%2e%2e/pyproject.toml",
        b"/static/%252e%252e/pyproject.toml", b"/static/..\\..\\pyproject.toml", b"/static/%5c..%5c..%5cpyproject.toml",
        b"/static/....//....//pyproject.toml", b"/static//etc/passwd", b"/static/%2fetc%2fpasswd",
        b"/static/home.css%00", b"/static/%c0%ae%c0%ae/pyproject.toml", b"/../../../etc/passwd", b"/static/vendor/",
        b"/shopdemo/goods/1/pictures/../../../../pyproject.toml", b"/shopdemo/goods/..%2f..%2f/pictures/a.webp",
    ],
)  # fmt: skip
def test_paths_lead_to_nothing_else(service: Process, path: bytes) -> None:
    (status,) = ask(service.port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status in (404, 422)


def test_a_stream_of_events_says_what_every_answer_says(service: Process) -> None:
    with socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
        connection.sendall(b"GET /websocketdemo/rooms/lobby/events HTTP/1.1\r\nHost: x\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
    said = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert {b"content-type: text/event-stream; charset=utf-8", b"cache-control: no-cache"} <= set(said)
    assert {b": ".join(header) for header in SECURITY_HEADERS if header[0] != b"cache-control"} <= set(said)
