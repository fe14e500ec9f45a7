"""Carries out deploy/Dockerfile without a container engine: each step in a clean root, then the service as its user.

    .ci/clean_root.py [--pip-conf FILE] [--ca FILE]

Needs root, debootstrap and the network; takes about two minutes. The base image is stood in for by a Debian with the
same Python. The image's disk is read-only when the service runs, but for /data and /tmp, and it gets no capabilities.
"""

import argparse
import json
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
RELEASE = "trixie"  # has the Python of the base image
PACKAGES = "python3,python3-venv,ca-certificates"
SECRET = re.compile(r"--mount=type=secret,id=pip,target=(\S+)")
PORT = 18010
PATIENCE = 30.0
INSTRUCTIONS = {"ARG", "FROM", "WORKDIR", "RUN", "COPY", "LABEL", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"}
INSTRUCTIONS |= {"HEALTHCHECK", "CMD"}


@dataclass
class Stage:
    """A root folder, and what the instructions said so far."""

    root: Path
    folder: str = "/"
    user: str = "0:0"
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def run(self, *command: str) -> None:
        """In the root, by the user and in the folder that were named last."""
        inside = ["chroot", f"--userspec={self.user}", str(self.root), "/usr/bin/env", "-i", f"--chdir={self.folder}"]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        subprocess.run([*inside, *variables, *command], check=True)


class Builder:
    """Does what the instructions say."""

    def __init__(self, base: Path, folder: Path, pip_conf: Path | None) -> None:
        self._base = base
        self._folder = folder
        self._pip_conf = pip_conf
        self._stages: list[Stage] = []
        self._names: dict[str, Stage] = {}

    def build(self) -> Stage:
        """The last stage."""
        for name, text in instructions(DOCKERFILE.read_text("utf-8")):
            print(f"{name} {text[:100]}", flush=True)
            if name not in INSTRUCTIONS:
                sys.exit(f"{name} is not known here")
            getattr(self, f"_{name.lower()}", lambda _: None)(text)
        return self._stages[-1]

    def _from(self, text: str) -> None:
        number = len(self._stages)
        stage = Stage(self._folder / f"stage-{number}")
        subprocess.run(["cp", "-a", self._base, stage.root], check=True)
        self._stages.append(stage)
        self._names[text.partition(" AS ")[2] or str(number)] = stage

    def _workdir(self, text: str) -> None:
        self._stages[-1].folder = text
        (self._stages[-1].root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _run(self, text: str) -> None:
        stage = self._stages[-1]
        secret = SECRET.match(text)
        target = stage.root / secret[1].lstrip("/") if secret and self._pip_conf else None
        if target and self._pip_conf:
            shutil.copy(self._pip_conf, target)
        stage.run("/bin/sh", "-c", SECRET.sub("", text))
        if target:
            target.unlink()

    def _copy(self, text: str) -> None:
        """From another stage a folder to the same place; from the context to the folder that was named last."""
        stage = self._stages[-1]
        *sources, target = text.split()
        if sources[0].startswith("--from="):
            other = self._names[sources[0].partition("=")[2]]
            shutil.copytree(other.root / sources[1][1:], stage.root / target[1:], symlinks=True)
            return
        for path in context():
            if sources == ["."] or path in sources:
                copied = stage.root / stage.folder[1:] / path
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, copied)

    def _env(self, text: str) -> None:
        for part in shlex.split(text):
            name, _, value = part.partition("=")
            self._stages[-1].environment[name] = value

    def _user(self, text: str) -> None:
        self._stages[-1].user = text

    def _healthcheck(self, text: str) -> None:
        self._stages[-1].health = json.loads(text[text.index("[") :])

    def _cmd(self, text: str) -> None:
        self._stages[-1].command = json.loads(text)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Names and arguments, without comments and with continued lines joined."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


def context() -> Iterator[str]:
    """The paths that .dockerignore lets through: it refuses all, then names what comes, then what of it does not."""
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    if rules[0] != "*":
        sys.exit(".dockerignore does not begin with *")
    refused = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for rule in rules:
        if rule[0] == "!":
            place = ROOT / rule[1:]
            for path in [place] if place.is_file() else place.rglob("*"):
                parts = path.relative_to(ROOT).parts
                if path.is_file() and not any(fnmatch(part, pattern) for part in parts for pattern in refused):
                    yield "/".join(parts)


def serve(stage: Stage) -> None:
    """Migrate, serve with two workers, be healthy, stop by SIGTERM with 0; all as the user and on a read-only disk."""
    settings = {
        "APP_SECRET_KEY": secrets.token_urlsafe(48),
        "APP_DATABASE_URL": "sqlite+aiosqlite:////data/app.db",
        "APP_PROJECTS": "accounts,shopdemo,paymentdemo",
        "APP_WORKERS": "2",
        "APP_PORT": str(PORT),
    }
    subprocess.run(confined(stage, ["python", "main.py", "migrate"], settings), check=True)
    service = subprocess.Popen(confined(stage, stage.command, settings))
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(confined(stage, stage.health, settings), check=False, capture_output=True).returncode:
            if service.poll() is not None or time.monotonic() > deadline:
                sys.exit("The service does not become healthy.")
            time.sleep(0.5)
        for path in ("/healthz", "/readyz", "/shopdemo/goods"):
            with urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5) as answer:
                print(f"{path}: {answer.status} {answer.read(80).decode()}")
    finally:
        service.terminate()
        status = service.wait(PATIENCE)
    if status:
        sys.exit(f"The service ended with {status}.")


def confined(stage: Stage, command: list[str], settings: dict[str, str]) -> list[str]:
    """The command in mounts of its own: / cannot be written, /data and /tmp can; without capabilities."""
    root = shlex.quote(str(stage.root))
    mounts = (
        f"mount --bind {root} {root} && mount --bind {root}/data {root}/data && mount -t tmpfs tmpfs {root}/tmp"  # noqa: S108
        f" && mount --rbind /dev {root}/dev && mount -t proc proc {root}/proc && mount -o remount,ro,bind {root}"
    )
    user, group = stage.user.split(":")
    drop = f"setpriv --reuid={user} --regid={group} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"
    variables = " ".join(shlex.quote(f"{name}={value}") for name, value in {**stage.environment, **settings}.items())
    inside = f"chroot {root} /usr/bin/{drop} /usr/bin/env -i --chdir={stage.folder} {variables} {shlex.join(command)}"
    return ["unshare", "--mount", "/bin/sh", "-c", f"{mounts} && exec {inside}"]


def bootstrap(folder: Path, ca: Path | None) -> Path:
    """What stands in for the base image: Debian with Python as `python`."""
    base = folder / "base"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, base],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc", name), base / "etc" / name)
    if ca:
        shutil.copy(ca, base / "etc/ssl/certs/ca-certificates.crt")
    return base


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pip-conf", type=Path, help="what pip shall know while the image is built")
    parser.add_argument("--ca", type=Path, help="certificates instead of Debian's, where a proxy signs")
    parser.add_argument("--base", type=Path, help="a clean root from before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage = Builder(arguments.base or bootstrap(folder, arguments.ca), folder, arguments.pip_conf).build()
        serve(stage)
        print(f"{subprocess.check_output(['du', '-sh', stage.root / 'opt/venv'], text=True).split()[0]} of packages")


if __name__ == "__main__":
    main()
