"""What a fresh clone relies on: a lock for every system and every index, and a Makefile that does what it says."""

import base64
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK: dict[str, dict[str, Any]] = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))
PIPFILE = (ROOT / "Pipfile").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CATEGORIES = {"packages": "default", "dev-packages": "develop"}
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
needs_pipenv = pytest.mark.skipif(not shutil.which("pipenv", path=str(Path(sys.executable).parent)), reason="no pipenv")
needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")


# -- the lock -----------------------------------------------------------------


def locked() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for category, packages in LOCK.items():
        if category != "_meta":
            for name, entry in packages.items():
                yield category, name, entry


def test_lock_names_no_index() -> None:
    assert LOCK["_meta"]["sources"] == []
    assert [name for _, name, entry in locked() if "index" in entry] == []
    assert "[[source]]" not in re.sub(r"#.*", "", PIPFILE)


def test_every_locked_package_has_one_version_and_hashes() -> None:
    loose = [name for _, name, entry in locked() if not entry["version"].startswith("==") or not entry["hashes"]]
    assert loose == []


def test_a_package_has_the_same_version_in_every_category() -> None:
    versions: dict[str, set[str]] = {}
    for _, name, entry in locked():
        versions.setdefault(name, set()).add(entry["version"])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("sections", [["packages"], ["packages", "dev-packages"]], ids=" and ".join)
def test_lock_is_complete_and_exact_on_every_system(sections: list[str], system: str, python: str) -> None:
    """A lock made on one system must neither miss nor force what only another one needs."""
    environment = {**SYSTEMS[system], "python_version": python, "python_full_version": f"{python}.4"}
    environment |= {"platform_python_implementation": "CPython", "implementation_name": "cpython"}
    pipfile = tomllib.loads(PIPFILE)
    roots = [root_requirement(name, entry) for section in sections for name, entry in pipfile[section].items()]
    chosen = {
        canonicalize_name(name)
        for section in sections
        for name, entry in LOCK[CATEGORIES[section]].items()
        if "markers" not in entry or Marker(entry["markers"]).evaluate(environment)
    }
    assert chosen == needed(roots, environment)


def root_requirement(name: str, entry: str | dict[str, Any]) -> Requirement:
    details = {} if isinstance(entry, str) else entry
    requirement = Requirement(name)
    requirement.extras = set(details.get("extras", ()))
    requirement.marker = Marker(details["markers"]) if "markers" in details else None
    return requirement


def needed(waiting: list[Requirement], environment: dict[str, str]) -> set[str]:
    """Walk along the installed packages' own requirements; return every name met."""
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen or not applies(requirement, environment, extra=""):
            continue
        seen.add(key)
        for wanted in map(Requirement, requirements_of(requirement.name)):
            if any(applies(wanted, environment, extra) for extra in {"", *requirement.extras}):
                wanted.marker = None
                waiting.append(wanted)
    return {name for name, _ in seen}


def applies(requirement: Requirement, environment: dict[str, str], extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra})


def requirements_of(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # of another system only; such packages require nothing
        return []


def test_every_dependency_has_a_reason() -> None:
    entries = [line for line in PIPFILE.splitlines() if re.match(r"[a-z0-9_-]+ *=", line)]
    assert len(entries) == sum(len(section) for section in tomllib.loads(PIPFILE).values())
    assert [line for line in entries if not re.search(r"#\s+\S+ \S+", line)] == []


@needs_pipenv
@pytest.mark.slow
def test_pipenv_accepts_the_lock() -> None:
    verify = subprocess.run(
        [sys.executable, ".ci/lock.py", "--verify"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (verify.returncode, verify.stdout.strip()) == (0, "Pipfile.lock is up-to-date."), verify.stderr


@needs_git
def test_no_tracked_file_names_an_index_or_a_machine() -> None:
    address = re.compile(
        rb"pypi\.(?:org|python|tuna)|python[h]osted\.org|registry\.npm[j]s|https?://(?!127\.0\.0\.1)[^\s\"'<>]+/[s]imple\b"
    )
    files = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    present = [ROOT / name for name in files if name and (ROOT / name).is_file()]
    assert [str(path.relative_to(ROOT)) for path in present if address.search(path.read_bytes())] == []


@needs_git
@pytest.mark.parametrize(
    "path", [".venv/x", "var/development.db", "var/logs/x.log", ".env", ".cache/x", "a/__pycache__/x"]
)
def test_git_ignores_what_a_run_leaves(path: str) -> None:
    assert subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False).returncode == 0


# -- the Makefile -------------------------------------------------------------


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.MULTILINE))


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PIP", "MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**clean, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@needs_make
def test_make_alone_lists_every_target() -> None:
    listed = re.findall(r"^  make ([a-z-]+) +\S", make(ROOT).stdout, flags=re.MULTILINE)
    phony = re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, flags=re.MULTILINE)
    assert sorted(listed) == sorted(phony) == sorted(targets())


def test_documented_targets_exist() -> None:
    pages = [path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]]
    assert set(re.findall(r"(?:^ *|`)make ([a-z-]+)", "\n".join(pages), flags=re.MULTILINE)) <= targets()


@needs_make
def test_make_says_which_python_is_missing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "Pipfile.lock").touch()
    answer = make(tmp_path, "run", "PYTHON=false")
    assert answer.returncode != 0
    assert "No suitable Python: 3.11, 3.12 or 3.13 with the venv module is needed" in answer.stderr
    assert not (tmp_path / ".venv").exists()


# -- the installation, against an index of our own -----------------------------


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index on loopback that remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, list[str], Path]]:
    folder = tmp_path / "index"
    (folder / "simple" / "probe").mkdir(parents=True)
    asked: list[str] = []
    handler = type("ThisIndex", (Index,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple", asked, folder
        server.shutdown()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with our Makefile, a .venv, and a lock without sources that holds one package."""
    folder = tmp_path / "a project"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "Pipfile").write_text('[packages]\nprobe = "*"\n')
    venv.create(folder / ".venv", with_pip=False, symlinks=True)
    (folder / ".venv" / ".tools-installed").touch()
    write_lock(folder, "0" * 64)
    return folder


def write_lock(folder: Path, digest: str) -> None:
    meta = {"hash": {"sha256": ""}, "pipfile-spec": 6, "requires": {}, "sources": []}
    probe = {"version": "==1.0", "hashes": [f"sha256:{digest}"]}
    (folder / "Pipfile.lock").write_text(json.dumps({"_meta": meta, "default": {"probe": probe}, "develop": {}}))


def publish(folder: Path) -> str:
    """Put the smallest possible wheel on the index and return its SHA-256."""
    files = {
        "probe.py": "VALUE = 1\n",
        "probe-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n",
        "probe-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={urlsafe_digest(text)},{len(text)}\n" for name, text in files.items())
    name = "probe-1.0-py3-none-any.whl"
    wheel = folder / name
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, "probe-1.0.dist-info/RECORD": f"{record}probe-1.0.dist-info/RECORD,,\n"}.items():
            archive.writestr(path, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "simple" / "probe" / "index.html").write_text(f'<a href="/{name}#sha256={digest}">{name}</a>')
    return digest


def urlsafe_digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


STAMP = ".venv/.packages-installed"


@needs_make
@needs_pipenv
@pytest.mark.slow
@pytest.mark.parametrize("configured_in", ["environment", "file", "environment over file"])
def test_packages_come_from_the_index_that_pip_is_configured_for(
    project: Path, index: tuple[str, list[str], Path], configured_in: str, tmp_path: Path
) -> None:
    address, asked, folder = index
    write_lock(project, publish(folder))
    in_file = address if configured_in == "file" else "http://127.0.0.1:9/simple"  # where nobody listens
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {in_file}\n")
    settings = {"PIP_INDEX_URL": address} if "environment" in configured_in else {}
    if "file" in configured_in:
        settings["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    # What someone's shell may hold must not lead the installation elsewhere.
    stray = {"VIRTUAL_ENV": str(tmp_path), "PIPENV_PIPFILE": str(tmp_path / "Pipfile"), "PIPENV_SYSTEM": "1"}

    first = make(project, STAMP, f"PY={sys.executable}", **settings, **stray)

    assert first.returncode == 0, first.stdout + first.stderr
    assert set(asked) == {"/simple/probe/", "/probe-1.0-py3-none-any.whl"}
    assert [path.name for path in project.glob(".venv/lib/python*/site-packages/probe*")] != []
    assert make(project, STAMP, f"PY={sys.executable}").stdout == f"make: '{STAMP}' is up to date.\n"


@needs_make
@needs_pipenv
@pytest.mark.slow
def test_a_failed_installation_is_taken_up_again(project: Path, index: tuple[str, list[str], Path]) -> None:
    address, _, folder = index
    publish(folder)  # its hash is not the lock's
    failed = make(project, STAMP, f"PY={sys.executable}", PIP_INDEX_URL=address)
    assert failed.returncode != 0
    assert not (project / STAMP).exists()

    write_lock(project, publish(folder))
    again = make(project, STAMP, f"PY={sys.executable}", PIP_INDEX_URL=address)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (project / STAMP).exists()
