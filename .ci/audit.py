"""Asks OSV for known vulnerabilities of every package that Pipfile.lock names; further arguments go to pip-audit.

Ends with 0 when none is known, with 1 when one is, and with 75 when not every package could be asked about.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

LOCK = Path("Pipfile.lock")
CLEAN, VULNERABLE, NOT_ASKED = 0, 1, 75  # 75 is EX_TEMPFAIL: it may work another time
OPTIONS = [
    "--require-hashes",
    "--disable-pip",  # all is pinned: no environment is built
    "--vulnerability-service=osv",  # PyPI's own service passes over what it does not know
    "--cache-dir=.cache/pip-audit",
    "--format=json",
    "--progress-spinner=off",
]

Found = dict[str, Any]


def main() -> None:
    locked = read_lock()
    with TemporaryDirectory() as folder:
        found, said = ask(locked, Path(folder))
    vulnerable = [package for package in found if package.get("vulns")]
    asked = {canonicalize_name(package["name"]) for package in found if "vulns" in package}
    for package in vulnerable:
        print(f"{package['name']} {package['version']}: {'; '.join(map(describe, package['vulns']))}")
    if missing := sorted(locked.keys() - asked):
        print(f"NOT AUDITED: {len(missing)} of {len(locked)} packages could not be asked about. {said}")
    else:
        print(f"{len(locked)} packages of {LOCK} were asked about: {len(vulnerable)} are known to be vulnerable.")
    sys.exit(VULNERABLE if vulnerable else NOT_ASKED if missing else CLEAN)


def read_lock() -> dict[NormalizedName, str]:
    """A requirement with its hashes for each package of every category, whatever system it is for."""
    lock = json.loads(LOCK.read_text("utf-8"))
    packages = {
        name: entry for category, entries in lock.items() if category != "_meta" for name, entry in entries.items()
    }
    return {
        canonicalize_name(name): " ".join(
            [f"{name}{entry['version']}", *(f"--hash={digest}" for digest in entry["hashes"])]
        )
        for name, entry in packages.items()
    }


def ask(locked: Mapping[NormalizedName, str], folder: Path) -> tuple[list[Found], str]:
    """What pip-audit found for each package, and its last words; nothing when it could not ask."""
    requirements, report = folder / "requirements.txt", folder / "report.json"
    requirements.write_text("\n".join(locked.values()), "utf-8")
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, "-r", str(requirements), "-o", str(report), *sys.argv[1:]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    last_words = (done.stderr.strip().splitlines() or [""])[-1]
    written = report.read_text("utf-8") if report.exists() else ""
    return (json.loads(written)["dependencies"] if written else []), last_words


def describe(vulnerability: Found) -> str:
    mend = ", ".join(vulnerability["fix_versions"])
    return f"{vulnerability['id']} ({f'mended in {mend}' if mend else 'not mended yet'})"


if __name__ == "__main__":
    main()
