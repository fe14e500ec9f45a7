"""Nothing of the developer's own gets into a test, and no test gets at anything of the developer's own."""

import os
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OWN_DATA = ROOT / "var"

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PATH_EVENTS = frozenset({"os.truncate", "sqlite3.connect"})
_FOLDER_EVENTS = frozenset({"os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"})  # the last argument: of which folder
_THIS_FOLDER = (-1, None)


class TouchedOwnData(Exception):
    """A test was about to change the developer's database or pictures."""


def forget_settings(environment: MutableMapping[str, str]) -> None:
    """Take the developer's settings out of the environment; APP_TEST_… says where the tests find their servers."""
    for name in list(environment):
        if name.upper().startswith("APP_") and not name.upper().startswith("APP_TEST_"):
            del environment[name]


def refuse_own_data(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: raises TouchedOwnData at the very call that would change anything in `var/`."""
    for path in _changed_paths(event, arguments):
        if isinstance(path, str | bytes | os.PathLike) and _is_own_data(os.fsdecode(path)):
            raise TouchedOwnData(f"{event} {os.fsdecode(path)}: tests use a database and folders of their own")


def _changed_paths(event: str, arguments: tuple[Any, ...]) -> Iterable[Any]:
    if event in _PATH_EVENTS:
        return arguments[:1]
    if event in _FOLDER_EVENTS:
        return arguments[:1] if arguments[-1] in _THIS_FOLDER else ()
    if event == "os.rename":
        return arguments[:2]
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        return arguments[:1]
    return ()


def _is_own_data(path: str) -> bool:
    if path.startswith("file:"):
        return path.startswith(OWN_DATA.as_uri())
    return Path(os.path.abspath(path)).is_relative_to(OWN_DATA)  # noqa: PTH100  (resolve() would follow links)
