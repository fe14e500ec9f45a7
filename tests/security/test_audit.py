"""What `make audit` says: nothing is known, something is, or that it could not ask; by a service of our own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.processes import ROOT, free_port

LOCK = json.loads((ROOT / "Pipfile.lock").read_text("utf-8"))
CLEAN, VULNERABLE, NOT_ASKED = 0, 1, 75
PILLOW = LOCK["default"]["pillow"]["version"].removeprefix("==")
NUMBER = len({name for category, packages in LOCK.items() if category != "_meta" for name in packages})


def vulnerability(package: str, number: str, mended: str | None) -> dict[str, Any]:
    """One entry in the schema of OSV."""
    events = [{"introduced": "0"}, *([{"fixed": mended}] if mended else [])]
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    return {"id": number, "affected": [{"package": {"name": package, "ecosystem": "PyPI"}, "ranges": ranges}]}


@contextmanager
def osv(known: Mapping[str, list[dict[str, Any]]], status: int = 200) -> Iterator[str]:
    """The address of a service that knows of these packages."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = known.get(asked["package"]["name"])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture
def audit(tmp_path: Path) -> Any:
    """Runs the script on our own lock, in a folder of its own; answers its status and what it said."""
    shutil.copy(ROOT / "Pipfile.lock", tmp_path)

    def run(url: str, *options: str) -> tuple[int, list[str]]:
        command = [sys.executable, str(ROOT / ".ci" / "audit.py"), "--osv-url", url, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    return run


@pytest.mark.slow
def test_nothing_is_known(audit: Any) -> None:
    with osv({}) as url:
        told = f"{NUMBER} packages of Pipfile.lock were asked about: 0 are known to be vulnerable."
        assert audit(url) == (CLEAN, [told])


@pytest.mark.slow
def test_what_is_known_fails_unless_it_is_ignored_by_name(audit: Any) -> None:
    known = [vulnerability("pillow", "PYSEC-1", "99.0"), vulnerability("pillow", "PYSEC-2", None)]
    last = f"{NUMBER} packages of Pipfile.lock were asked about: 1 are known to be vulnerable."
    with osv({"pillow": known}) as url:
        assert audit(url) == (
            VULNERABLE,
            [f"pillow {PILLOW}: PYSEC-1 (mended in 99.0); PYSEC-2 (not mended yet)", last],
        )
        assert audit(url, "--ignore-vuln", "PYSEC-1", "--ignore-vuln", "PYSEC-2")[0] == CLEAN


@pytest.mark.parametrize("status", [None, 500, 404])
def test_who_does_not_answer_is_no_answer(audit: Any, status: int | None) -> None:
    if status is None:
        code, (told,) = audit(f"http://127.0.0.1:{free_port()}/v1/query")
    else:
        with osv({}, status) as url:
            code, (told,) = audit(url)
    assert code == NOT_ASKED
    assert told.startswith(f"NOT AUDITED: {NUMBER} of {NUMBER} packages could not be asked about. ")
