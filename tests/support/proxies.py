"""nginx in front of services that run as processes of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.databases import miss
from tests.support.processes import PATIENCE, ROOT, Process, free_port, is_listening, wait_until

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    {locations}
  }}
}}
"""


SHIPPED = ROOT / "deploy" / "nginx.conf"


@contextmanager
def nginx(port: int, services: Mapping[str, Process], folder: Path) -> Iterator[None]:
    """A proxy that hands each of these paths to its service; a test that finds no nginx is missed."""
    locations = "\n    ".join(
        f"location {path} {{ proxy_pass http://{service.address}; }}" for path, service in services.items()
    )
    with _running(CONFIGURATION.format(folder=folder, port=port, locations=locations), port, folder):
        yield


@contextmanager
def shipped_nginx(folder: Path, machines: Sequence[Process]) -> Iterator[int]:
    """nginx by the file in deploy/, with addresses and folder of this test; answers the port."""
    port = free_port()
    changes = {
        "listen 8080": f"listen 127.0.0.1:{port}",
        "app-1:8010": machines[0].address,
        "app-2:8010": machines[1].address,
        " /tmp/": f" {folder}/",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": f"{folder}/error.log",
    }
    text = SHIPPED.read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    with _running(f"daemon off;\nmaster_process off;\n{text}", port, folder):
        yield port


@contextmanager
def _running(text: str, port: int, folder: Path) -> Iterator[None]:
    program = shutil.which("nginx", path=PLACES)
    if program is None:
        miss("nginx", "no nginx: install it (on Debian: apt install nginx)")
        return
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(text, "utf-8")
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), PATIENCE, "nginx does not listen")
        yield
    finally:
        process.terminate()
        process.wait()
