"""The load client: wrk, which costs a few microseconds a request and so is never what is measured."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 16


class LoadError(RuntimeError):
    """The load client is missing, or the answers under load were not what they must be."""


@dataclass(frozen=True)
class Load:
    """What one burst of requests saw; times in milliseconds."""

    requests: int
    seconds: float
    bytes_each: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise LoadError("the load client `wrk` is missing: install it (Debian, Ubuntu: apt-get install wrk; brew)")


def run_load(name: str, origin: str, seconds: int, arguments: list[str], connections: int) -> Load:
    """Send requests as fast as they are answered for so many seconds; every one must be answered below 400."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    done = subprocess.run(
        [*command, "-s", str(SCRIPT), origin, "--", *arguments], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise LoadError(f"wrk failed: {done.stdout}{done.stderr}")
    seen = json.loads(lines[-1])
    if seen["refused"] or seen["broken"]:
        raise LoadError(f"{name}: not every answer was a success: {seen}")
    return Load(
        requests=seen["requests"],
        seconds=seen["microseconds"] / 1e6,
        bytes_each=seen["bytes"] / max(1, seen["requests"]),
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
    )
