"""deploy/nginx.conf as it is, in front of two processes as on two machines."""

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from websockets.sync.client import connect

from api.shopdemo.goods.goods import MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from api.shopdemo.schemas import Goods
from extensions.security import Tokens
from settings.testing_config import TestingSettings
from tests.support.catalogue import fill
from tests.support.databases import PostgresTemplate, miss, run
from tests.support.pictures import encode
from tests.support.processes import (
    PATIENCE,
    ROOT,
    Process,
    environment_of,
    services,
    wait_until,
)
from tests.support.proxies import shipped_nginx
from tests.support.redis_servers import redis_space

CONFIGURATION = ROOT / "deploy" / "nginx.conf"
CLIENT = "127.0.0.2"  # another address than nginx's own, and loopback all the same
GOODS = "/shopdemo/goods"

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow]


class Site:
    """nginx and what lies behind it, as a client knows it that has an address of its own."""

    def __init__(self, port: int, folder: Path, machines: list[Process], goods: dict[str, Goods]) -> None:
        self.port = port
        self._folder = folder
        self.machines = machines
        self.tea = f"{GOODS}/{goods['TEA-1'].id}"
        transport = httpx.HTTPTransport(local_address=CLIENT)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=transport, trust_env=False, timeout=PATIENCE
        )
        token = Tokens.of(TestingSettings()).sign("alice", frozenset({"admin"}), 60)
        self.admin = {"Authorization": f"Bearer {token}"}

    def logged(self) -> str:
        """All that nginx has written."""
        return "".join(file.read_text("utf-8") for file in sorted(self._folder.glob("*.log")))

    def lines(self, path: str) -> list[dict[str, Any]]:
        """The access lines of requests for paths that begin so, once these have ended."""
        lines = [json.loads(line) for line in (self._folder / "access.log").read_text("utf-8").splitlines()]
        return [line for line in lines if line["path"].startswith(path)]

    def ask_raw(self, request: bytes) -> bytes:
        """All that comes back for these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(request)
            answered = b""
            while chunk := connection.recv(65536):
                answered += chunk
            return answered


@contextmanager
def running_site(template: PostgresTemplate | str, folder: Path) -> Iterator[Site]:
    """nginx before two processes that have PostgreSQL, Redis and the folder of pictures in common."""
    if isinstance(template, str):
        miss("postgres", template)
        return
    own = {"APP_PICTURES_DIR": str(folder / "pictures"), "APP_LOG_LEVEL": "INFO"}
    with template.copy(folder) as database_url, redis_space() as broker_url:
        goods = run(fill(TestingSettings(database_url=database_url)))
        with (
            services(2, environment_of("", database_url, broker_url, **own), folder) as machines,
            shipped_nginx(folder / "nginx", machines) as port,
        ):
            site = Site(port, folder / "nginx", machines, goods)
            with site.client:
                yield site


@pytest.fixture(scope="module")
def site(postgres_template: PostgresTemplate | str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(postgres_template, tmp_path_factory.mktemp("site")) as site:
        yield site


def unreachable() -> dict[str, Any]:
    return {"code": 502, "message": "The service cannot be reached. Try again in a moment.", "data": None}


def said_of(site: Site, request_id: str) -> list[str]:
    """The lines in the logs of both machines."""
    lines = "".join(machine.said() for machine in site.machines).splitlines()
    return [line for line in lines if f"| {request_id} |" in line]


def test_both_machines_are_asked_and_learn_who_asked(site: Site) -> None:
    forged = {"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "https", "Forwarded": "for=8.8.8.8"}
    ids = [f"asked-{number}" for number in range(10)]
    answers = [site.client.get("/healthz", headers={**forged, "X-Request-ID": id_}) for id_ in ids]
    assert [answer.headers["X-Request-ID"] for answer in answers] == ids
    assert {answer.headers["Server"] for answer in answers} == {"nginx"}
    wait_until(lambda: all(said_of(site, id_) for id_ in ids), PATIENCE, "there are no access lines")
    assert {line.split()[-1] for id_ in ids for line in said_of(site, id_)} == {CLIENT}
    assert all("asked-" in machine.said() for machine in site.machines)


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "//metrics", "/x/../metrics", "/readyz"])
def test_what_is_for_those_inside_stays_there(site: Site, path: str) -> None:
    answer = site.ask_raw(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body) == {"code": 404, "message": "Not Found", "data": None}


def test_a_chat_across_both(site: Site) -> None:
    """Two sockets, one on each machine, and a stream of events that arrives while it is open."""
    path = "/websocketdemo/ws/nginx"
    url = f"ws://127.0.0.1:{site.port}{path}"
    with connect(f"{url}/User1", proxy=None) as one, connect(f"{url}/User2", proxy=None) as two:
        with site.client.stream("GET", "/websocketdemo/rooms/nginx/events") as stream:
            one.send(json.dumps({"message": "你好"}, ensure_ascii=False))
            lines = stream.iter_lines()
            assert "你好" in next(line for line in lines if '"type":"message"' in line)
        assert "你好" in next(text for text in two if '"type":"message"' in str(text))
    both = {machine.address for machine in site.machines}
    wait_until(
        lambda: {line["upstream"] for line in site.lines(path)} == both,
        PATIENCE,
        "the sockets were not on both machines",
    )


def test_the_largest_picture_comes_through(site: Site) -> None:
    size = (1868, 1870)
    noise = Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3))
    data = encode(noise, "PNG", compress_level=0).ljust(MAX_FILE_BYTES, b"\0")
    assert len(data) == 10 * 1024 * 1024
    stored = site.client.post(f"{site.tea}/pictures", files={"file": data}, headers=site.admin)
    assert stored.status_code == 201, stored.text
    url = stored.json()["data"]["url"]
    assert [site.client.get(url).status_code for _ in range(4)] == [200] * 4  # from both
    larger = site.client.post(f"{site.tea}/pictures", files={"file": data.ljust(MAX_UPLOAD_BYTES)}, headers=site.admin)
    assert larger.status_code == 413
    assert larger.json() == {"code": 413, "message": "The request is too large.", "data": None}


def test_no_token_is_in_a_log(site: Site) -> None:
    """Browsers send it in the query where they cannot send a header."""
    token = site.admin["Authorization"].removeprefix("Bearer ")
    socket_path, events = "/websocketdemo/ws/secrets/alice", "/websocketdemo/rooms/secrets/events"
    with (
        connect(f"ws://127.0.0.1:{site.port}{socket_path}?token={token}", proxy=None),
        site.client.stream("GET", events, params={"token": token}) as stream,
    ):
        assert stream.status_code == 200
    for target, hosts in ((f"http://shop{events}/x", 1), (f"{events}/y", 2)):
        head = "Host: shop\r\n" * hosts
        site.ask_raw(f"GET {target}?token={token} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
    wait_until(
        lambda: len(site.lines(events)) == 3 and len(site.lines(socket_path)) == 1, PATIENCE, "lines are missing"
    )
    assert [line["status"] for line in site.lines(socket_path)] == [101]
    assert {(line["method"], line["path"], line["status"]) for line in site.lines(events)} == {
        ("GET", events, 200),
        ("GET", f"{events}/x", 404),
        ("GET", f"{events}/y", 400),
    }
    said = [site.logged(), *(machine.said() for machine in site.machines)]
    assert [token in text for text in said] == [False] * 3


def test_only_what_holds_no_secrets_is_compressed(site: Site) -> None:
    goods = site.client.get(GOODS)
    assert (goods.headers["Content-Encoding"], len(goods.json()["data"]["items"])) == ("gzip", 7)
    openapi = site.client.get("/openapi.json")
    assert openapi.headers["Content-Encoding"] == "gzip"
    long_name = site.client.post("/accounts/token", data={"username": "x" * 2000, "password": "y"})
    assert "Content-Encoding" not in long_name.headers


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Content-Length: +5",
        "Content-Length : 5",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(site: Site, headers: str) -> None:
    inner = "GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"
    answer = site.ask_raw(f"POST {GOODS} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n\r\n0\r\n\r\n{inner}".encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert re.match(rb"HTTP/1.1 (400|501) ", answer)
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"code", "message", "data"}
    assert not any("smuggled" in machine.said() for machine in site.machines)


@pytest.mark.faults
def test_when_machines_go(postgres_template: PostgresTemplate | str, tmp_path: Path) -> None:
    """Without one of them reading goes on as before; without both there is an answer in the envelope."""
    with running_site(postgres_template, tmp_path) as site:
        site.machines[0].kill()
        assert {site.client.get(site.tea).status_code for _ in range(20)} == {200}
        changes = {"price": "1.00"}
        tags = {"If-Match": site.client.get(site.tea).headers["ETag"], **site.admin}
        assert site.client.patch(site.tea, json=changes, headers=tags).status_code == 200
        site.machines[1].kill()
        for method in ("GET", "PATCH"):
            answer = site.client.request(method, site.tea, params={"token": "secret"}, headers=site.admin)
            assert (answer.status_code, answer.json()) == (502, unreachable())
            assert (answer.headers["Retry-After"], answer.headers["Content-Type"]) == ("2", "application/json")
        assert "secret" not in site.logged()
