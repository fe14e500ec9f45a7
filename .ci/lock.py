"""Locks Pipfile so that the lock names no package index and also holds what only other systems need."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path("Pipfile.lock")
PIPENV = [sys.executable, "-m", "pipenv"]
# pipenv mixes pip's configured index into the hash of a Pipfile without [[source]]; ours is the hash without one.
NEUTRAL = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PIPENV_PYPI_MIRROR"))}
NEUTRAL["PIP_CONFIG_FILE"] = os.devnull


def main() -> None:
    if sys.argv[1:] == ["--verify"]:
        sys.exit(subprocess.run([*PIPENV, "verify"], env=NEUTRAL, check=False).returncode)
    lock = resolve()
    meta = lock.pop("_meta")
    for category in lock.values():
        for name, entry in category.items():
            entry.pop("index", None)
            if "hashes" not in entry:
                entry.update(resolve_for_windows(name, entry["version"]))
    lock["_meta"] = {**meta, "hash": {"sha256": pipfile_hash()}, "sources": []}
    text = json.dumps(lock, indent=4, separators=(",", ": "), sort_keys=True)
    LOCK.write_text(text + "\n", encoding="utf-8", newline="\n")


def resolve() -> dict[str, Any]:
    """Lock as if for the first time: pipenv would carry over parts of an earlier lock."""
    earlier = LOCK.read_bytes() if LOCK.exists() else b"{}"
    LOCK.unlink(missing_ok=True)
    try:
        subprocess.run([*PIPENV, "lock"], check=True)
    except BaseException:
        LOCK.write_bytes(earlier)
        raise
    lock: dict[str, Any] = json.loads(LOCK.read_text(encoding="utf-8"))
    return lock


def resolve_for_windows(name: str, version: str) -> dict[str, Any]:
    """Pin a package whose marker excludes this system, which pipenv leaves without version and hash."""
    requirement = name if version == "*" else f"{name}{version}"
    options = ["--quiet", "--dry-run", "--report=-", "--ignore-installed", "--no-deps", "--target=.", "--no-cache-dir"]
    target = ["--platform=win_amd64", "--only-binary=:all:"]
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *target, requirement], check=True, stdout=subprocess.PIPE
    )
    [package] = json.loads(pip.stdout)["install"]
    digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
    return {"hashes": [f"sha256:{digest}"], "version": f"=={package['metadata']['version']}"}


def pipfile_hash() -> str:
    code = "from pipenv.project import Project; print(Project().pipfile.calculate_hash())"
    pipenv = subprocess.run([sys.executable, "-c", code], env=NEUTRAL, check=True, stdout=subprocess.PIPE, text=True)
    return pipenv.stdout.strip()


if __name__ == "__main__":
    main()
