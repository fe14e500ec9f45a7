"""deploy/myfastapi.service: systemd understands it, and keeps the service in bounds."""

import getpass
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from settings import Settings
from tests.support.machines import UNIT, unit
from tests.support.processes import ROOT

MAX_EXPOSURE = 20  # of 100, as `systemd-analyze security` counts


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The unit with a user and paths of this machine, which systemd would look for."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: the unit is not verified (on Debian: apt install systemd)")
    user = getpass.getuser()
    changes = {
        "/opt/myfastapi/.venv/bin/python": sys.executable,
        "/opt/myfastapi": str(ROOT),
        "=myfastapi\n": f"={user}\n",
    }
    text = UNIT.read_text("utf-8")
    for there, own in changes.items():
        text = text.replace(there, own)
    file = tmp_path / UNIT.name
    file.write_text(text)
    return file


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_understands_the_unit(here: Path) -> None:
    found = analyze("verify", here)
    assert (found.returncode, [line for line in found.stderr.splitlines() if UNIT.name in line]) == (0, [])
    here.write_text(here.read_text().replace("Restart=always", "Restrat=always"))
    assert "Restrat" in analyze("verify", here).stderr


def test_the_unit_keeps_the_service_in_bounds(here: Path) -> None:
    command = ("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", here)
    found = analyze(*command)
    assert found.returncode == 0, found.stdout
    here.write_text(here.read_text().replace("ProtectSystem=strict\n", "").replace("CapabilityBoundingSet=\n", ""))
    assert analyze(*command).returncode != 0


def test_systemd_waits_longer_than_the_service_needs_to_stop() -> None:
    grace = Settings.model_fields["grace_seconds"].default
    assert int(unit()["TimeoutStopSec"]) >= grace + 5
    assert unit()["KillMode"] == "mixed"
