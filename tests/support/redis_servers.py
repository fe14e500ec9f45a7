"""A part of a Redis server for each test, and servers of a test's own that may be killed."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.support.databases import miss

PROGRAM = "redis-server"


def server_url() -> str:
    """Where the tests find Redis: APP_TEST_REDIS_URL, or this machine."""
    return os.environ.get("APP_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@contextmanager
def redis_space() -> Iterator[str]:
    """The URL of a part of the server that nobody else uses; a test that finds no server is missed."""
    prefix = f"test-{secrets.token_hex(8)}:"
    with Redis.from_url(server_url(), socket_timeout=5) as redis:
        try:
            redis.ping()
        except RedisError as error:
            miss("redis", f"no Redis at {server_url()} (APP_TEST_REDIS_URL): {error}")
        try:
            yield f"{server_url()}?prefix={prefix}"
        finally:
            if keys := list(redis.scan_iter(f"{prefix}*")):
                redis.delete(*keys)


class OwnRedis:
    """A server of the test's own, which keeps nothing when it is killed."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with Redis.from_url(
            self.url, retry=Retry(ConstantBackoff(0.01), 1000), retry_on_error=[RedisConnectionError]
        ) as r:
            r.ping()

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """A server that the test may kill and start again."""
    if not shutil.which(PROGRAM):
        miss("redis", f"no {PROGRAM} on this machine")
    redis = OwnRedis()
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()
