"""Chats in processes of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import Process, environment_of, running, services


def chat_environment(database_url: str, broker_url: str, **settings: str) -> dict[str, str]:
    """The chat alone."""
    return environment_of("websocketdemo", database_url, broker_url, **settings)


@contextmanager
def chats(
    number: int, database_url: str, broker_url: str, folder: Path, *options: str, **settings: str
) -> Iterator[list[Process]]:
    """So many processes of `python main.py serve` on one database and one broker."""
    with services(number, chat_environment(database_url, broker_url, **settings), folder, *options) as processes:
        yield processes


@contextmanager
def tutorials(number: int, folder: Path) -> Iterator[list[Process]]:
    """So many processes of the tutorial's chat."""
    command = ["-m", "uvicorn", "tests.support.tutorial_chat:app", "--log-level", "critical"]
    with running(number, command, dict(os.environ), folder) as processes:
        yield processes
