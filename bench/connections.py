"""`python -m bench.connections`: how long new clients wait while a hundred others keep the server busy."""

import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from bench.http import machine
from bench.http.load import LoadError, require_wrk
from bench.http.server import cores, free_port, started
from bench.tables import as_markdown, as_text

BUSY_CONNECTIONS = 100
NEW_CLIENTS = 20
LOAD_SECONDS = 10
WARM_UP_SECONDS = 2.0
LOOPS = {"uvloop": "uvloop", "asyncio": "asyncio", "us": "extensions.event_loop:EventLoop"}
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=3, type=click.IntRange(1))
@click.option("--markdown", is_flag=True, help="Print the table for bench/README.md.")
def main(rounds: int, markdown: bool) -> None:
    """Serve requests of 2 ms with uvicorn on each event loop, and let new clients come in meanwhile."""
    try:
        require_wrk()
    except LoadError as error:
        raise click.ClickException(str(error)) from error
    server_core, own_core = cores()
    os.sched_setaffinity(0, {own_core})
    waits: dict[str, list[list[float]]] = {name: [] for name in LOOPS}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _ in range(rounds):
            for name, loop in LOOPS.items():
                waits[name].append(measure(name, loop, Path(folder), server_core))
    lines = [
        (
            name,
            *(f"{statistics.median(pick(each) for each in waits[name]):.2f}" for pick in (min, statistics.median, max)),
        )
        for name in LOOPS
    ]
    click.echo(f"\n{machine.describe()}; {BUSY_CONNECTIONS} busy connections, {NEW_CLIENTS} new clients;")
    click.echo(f"medians of {rounds} rounds; the load ends after {LOAD_SECONDS - WARM_UP_SECONDS:.0f} s\n")
    headings = ("event loop", "first, s", "half, s", "all, s")
    click.echo(as_markdown(headings, lines, 1) if markdown else as_text(headings, lines, 1, group=0))


def measure(name: str, loop: str, folder: Path, core: int) -> list[float]:
    """Seconds until each of the new clients was answered."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.http.peers.busy:app", "--port", str(port), "--loop", loop]
    command += ["--no-access-log", "--log-level", "warning"]
    with started(name, command, port, core, os.environ, folder / f"{name}.log"):
        address = f"http://127.0.0.1:{port}/"
        load = subprocess.Popen(
            ["wrk", "-t1", f"-c{BUSY_CONNECTIONS}", f"-d{LOAD_SECONDS}s", address], stdout=subprocess.DEVNULL
        )
        try:
            time.sleep(WARM_UP_SECONDS)
            return wait_for_answers(port)
        finally:
            load.wait()


def wait_for_answers(port: int) -> list[float]:
    start = time.perf_counter()
    waits = []
    with selectors.DefaultSelector() as selector:
        for _ in range(NEW_CLIENTS):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(REQUEST)
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                waits.append(time.perf_counter() - start)
                selector.unregister(key.fileobj)
                key.fileobj.close()
    return waits


if __name__ == "__main__":
    main()
