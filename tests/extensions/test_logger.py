import asyncio
import io
import json
import logging
import logging.config
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from uvicorn.config import LOGGING_CONFIG

from extensions.logger import BATCH_CHARACTERS, close_logging, configure_logging, log_access
from settings.testing_config import TestingSettings
from utils.request_context import request_id

if TYPE_CHECKING:
    from loguru import Record

ROOT = Path(__file__).parents[2]
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"

Configure = Callable[..., io.StringIO]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Configures the log into a stream; afterwards logging is as it was."""
    names = (None, "uvicorn", "uvicorn.error", "uvicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, list(one.handlers), one.level, one.propagate, list(one.filters)) for one in loggers]
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def configure_into_stream(stream: io.StringIO | None = None, **settings: Any) -> io.StringIO:
        stream = stream or io.StringIO()
        configure_logging(TestingSettings(**settings), stream)
        return stream

    yield configure_into_stream
    configure_logging(TestingSettings(log_level="ERROR"))
    logging.captureWarnings(False)
    for one, handlers, level, propagate, filters in before:
        one.handlers, one.level, one.propagate, one.filters = handlers, level, propagate, filters
    logging.getLogger("uvicorn.error").manager._clear_cache()  # type: ignore[attr-defined]


def access(path: str = "/x", id_: str = "r1") -> None:
    log_access("GET", path, 200, 0.0012, 350, "127.0.0.1", id_)


def test_text_lines(configure: Configure) -> None:
    stream = configure()
    token = request_id.set("abc")
    logger.info("{} goods", 7)
    request_id.reset(token)
    logger.bind(request_id="own").warning("outside")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(rf"{STAMP} \| INFO     \| abc \| [\w.]*test_logger:test_text_lines:\d+ - 7 goods", first)
    assert re.fullmatch(rf"{STAMP} \| WARNING  \| own \| [\w.]*test_logger:test_text_lines:\d+ - outside", second)


def test_json_lines(configure: Configure) -> None:
    stream = configure(log_json=True)
    logger.bind(goods=7, api_key="k", note="token=abc", time="mine").info("手机\n{}", "x")
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record.pop("logger").endswith("test_logger")
    assert record.pop("line") > 0
    assert record == {
        "level": "INFO",
        "message": "手机\nx",
        "request_id": "-",
        "function": "test_json_lines",
        "goods": 7,
        "api_key": "***",
        "note": "token=***",
    }
    assert line.isascii()


def test_exceptions_show_no_values(configure: Configure) -> None:
    def log_crash() -> None:
        password = "hunter" + "2"
        try:
            raise ValueError("cannot open\npostgresql://shop:" + password + "@db/shop")
        except ValueError:
            logger.exception("crashed")

    text, lines = configure(), configure(log_json=True)
    log_crash()
    exception = json.loads(lines.getvalue())["exception"]
    assert exception.startswith("Traceback (most recent call last):\n")
    assert exception.endswith("ValueError: cannot open\npostgresql://shop:***@db/shop\n")
    configure(text)
    log_crash()
    first, *rest = text.getvalue().splitlines()
    assert first.endswith("- crashed")
    assert all(line.startswith("    ") for line in rest)
    assert "hunter2" not in text.getvalue() + lines.getvalue()


def test_standard_logging_comes_once_with_its_caller(configure: Configure) -> None:
    logging.config.dictConfig(LOGGING_CONFIG)
    stream = configure()
    logging.config.dictConfig(LOGGING_CONFIG)  # what uvicorn does in a worker, after the import of the application
    stream = configure(stream)
    token = request_id.set("abc")
    logging.getLogger("some.library").warning("%d left", 3)
    logging.getLogger("uvicorn.error").info("Started process [%d]", 1)
    logging.getLogger("uvicorn").info("plain")
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/", "1.1", 200)
    logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", "/ws?token=a")
    request_id.reset(token)
    assert [re.sub(rf"{STAMP}|\d+(?= - )", "#", line) for line in stream.getvalue().splitlines()] == [
        "# | WARNING  | abc | some.library:test_standard_logging_comes_once_with_its_caller:# - 3 left",
        "# | INFO     | abc | uvicorn.error:test_standard_logging_comes_once_with_its_caller:# - Started process [1]",
        "# | INFO     | abc | uvicorn:test_standard_logging_comes_once_with_its_caller:# - plain",
    ]
    assert not logging.getLogger("uvicorn.access").hasHandlers()  # so uvicorn does not even format its access line


def test_standard_exceptions_and_warnings(configure: Configure) -> None:
    stream = configure(log_json=True)
    try:
        raise KeyError("gone")
    except KeyError:
        logging.getLogger("library").exception("failed")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old way", UserWarning, stacklevel=1)
    failed, warned = map(json.loads, stream.getvalue().splitlines())
    assert (failed["logger"], failed["message"]) == ("library", "failed")
    assert failed["exception"].endswith("KeyError: 'gone'\n")
    assert (warned["logger"], warned["level"]) == ("py.warnings", "WARNING")


def test_talkative_libraries_stay_quiet_at_debug(configure: Configure) -> None:
    stream = configure(debug=True)
    logger.debug("ours")
    logging.getLogger("uvicorn.error").debug("> TEXT 'private message'")
    logging.getLogger("aiosqlite").debug("executing INSERT … secret")
    logging.getLogger("python_multipart.multipart").debug("Skipping duplicate ampersand at 1")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("- ours")


def test_level(configure: Configure) -> None:
    stream = configure(log_level="WARNING")
    logger.info("no")
    logging.getLogger("library").info("no")
    access()
    logger.warning("yes")
    assert [line.rsplit(" ", 1)[1] for line in stream.getvalue().splitlines()] == ["yes"]


def test_secrets_are_masked_in_ours_and_theirs(configure: Configure) -> None:
    stream = configure()
    logger.info("sent {}", {"Authorization": "Bearer abc.def.ghi"})
    logging.getLogger("library").info("connect to %s", "postgresql://shop:hunter2@db/shop")
    ours, theirs = stream.getvalue().splitlines()
    assert ours.endswith("- sent {'Authorization': ***}")
    assert theirs.endswith("- connect to postgresql://shop:***@db/shop")


@pytest.mark.parametrize("log_json", [False, True])
def test_a_message_cannot_forge_a_line(configure: Configure, log_json: bool) -> None:
    stream = configure(log_json=log_json)
    logger.info("name {}", "x\n2026-01-01 00:00:00.000 | INFO | forged\r\x1b[2J\u2028y")
    logging.getLogger("library").info("name %s", "x\nforged")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


def test_colour_only_on_a_terminal(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, file = configure(Terminal()), io.StringIO()
    logger.error("x")
    configure(file)
    logger.error("x")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = configure(Terminal())
    logger.error("x")
    assert ["\x1b[31mERROR" in stream.getvalue() for stream in (terminal, file, plain)] == [True, False, False]


def test_access_lines_come_in_batches_and_in_order(configure: Configure) -> None:
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    async def serve(stream: Counting) -> None:
        for number in range(5):
            access(f"/{number}")
        assert stream.writes == 0
        logger.info("between")
        access("/5")
        assert stream.writes == 1

    stream = Counting()
    configure(stream)
    asyncio.run(serve(stream))  # its loop ends before the batch is due …
    asyncio.run(serve_one("/6"))  # … so another loop takes over
    close_logging()
    found = re.findall(r"/\d|between", stream.getvalue())
    assert found == ["/0", "/1", "/2", "/3", "/4", "between", "/5", "/6"]
    assert re.fullmatch(
        rf"{STAMP} \| INFO     \| r1 \| access - GET /0 200 1.2ms 350B 127.0.0.1", stream.getvalue().splitlines()[0]
    )


async def serve_one(path: str) -> None:
    access(path)


def test_access_lines_are_written_without_any_further_event(configure: Configure) -> None:
    class Stream(io.StringIO):
        written = asyncio.Event()

        def flush(self) -> None:
            self.written.set()

    async def serve() -> None:
        access()
        await stream.written.wait()

    stream = Stream()
    configure(stream)
    asyncio.run(serve())
    assert stream.getvalue().count("GET /x 200") == 1


def test_the_batch_is_bounded(configure: Configure) -> None:
    chunks: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            chunks.append(text)
            return len(text)

    async def serve() -> None:
        for number in range(1000):
            access(f"/{number}")

    configure(Stream())
    asyncio.run(serve())
    close_logging()
    assert max(map(len, chunks)) <= BATCH_CHARACTERS
    assert re.findall(r"/(\d+)", "".join(chunks)) == [str(number) for number in range(1000)]


def test_json_access_line(configure: Configure) -> None:
    stream = configure(log_json=True)
    asyncio.run(serve_one('/a"b'))
    close_logging()
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "INFO",
        "message": 'GET /a"b 200',
        "request_id": "r1",
        "logger": "access",
        "method": "GET",
        "path": '/a"b',
        "status": 200,
        "ms": 1.2,
        "bytes": 350,
        "client": "127.0.0.1",
    }


def test_a_closed_stream_does_not_stop_the_service(configure: Configure) -> None:
    stream = configure()
    stream.close()
    asyncio.run(serve_one("/x"))
    logger.info("x")
    close_logging()


def test_error_file(configure: Configure, tmp_path: Path) -> None:
    class LocalError(Exception):
        """Nothing that could be pickled."""

        def __init__(self, first: object, second: object) -> None:
            super().__init__("token=abc")

    folder = tmp_path / "with {braces}"
    stream = configure(log_dir=folder)
    configure(stream, log_dir=folder)  # a second call changes nothing
    logger.warning("not an error")
    try:
        raise LocalError(lambda: None, 2)
    except LocalError:
        logger.bind(odd=lambda: None).exception("crashed \udc80")
    close_logging()
    logger.error("after")
    (path,) = folder.iterdir()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d_error\..+\.{os.getpid()}\.log", path.name)
    lines = path.read_text("utf-8").splitlines()
    assert re.fullmatch(
        rf"{STAMP} \| ERROR    \| - \| [\w.]*test_logger:test_error_file:\d+ - crashed \\udc80", lines[0]
    )
    assert lines[-1].endswith("LocalError: token=***")
    assert sum("crashed" in line for line in stream.getvalue().splitlines() if line[0] != " ") == 1
    assert stream.getvalue().splitlines()[-1].endswith("- after")


def test_error_file_in_json(configure: Configure, tmp_path: Path) -> None:
    configure(log_dir=tmp_path, log_json=True)
    logger.error("x")
    close_logging()
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["message"] == "x"


def test_no_error_makes_no_file(configure: Configure, tmp_path: Path) -> None:
    configure(log_dir=tmp_path / "logs")
    close_logging()
    assert list(tmp_path.iterdir()) == []


def make_file(folder: Path, name: str, days: float) -> Path:
    path = folder / name
    path.write_text("x\n")
    old = time.time() - days * 86_400
    os.utime(path, (old, old))
    return path


def test_retention_reaches_files_of_processes_that_have_gone(configure: Configure, tmp_path: Path) -> None:
    make_file(tmp_path, "2026-01-01_error.host.1.log", 5.1)
    make_file(tmp_path, "2026-01-01_error.host.1.2026-01-01_12-00-00_000000.log", 9)
    kept = {make_file(tmp_path, "2026-01-05_error.host.2.log", 4.9), make_file(tmp_path, "notes.log", 99)}
    configure(log_dir=tmp_path)
    assert set(tmp_path.iterdir()) == kept


def test_rotation_removes_old_files_and_an_idle_file_comes_back(configure: Configure, tmp_path: Path) -> None:
    configure(log_dir=tmp_path)
    logger.error("first")
    logger.complete()
    (own,) = tmp_path.iterdir()
    own.unlink()  # what another worker does to the file of one that was idle for five days
    logger.error("second")
    logger.complete()
    gone = make_file(tmp_path, "2026-01-01_error.host.1.log", 6)
    logger.patch(add_a_day).error("third")
    close_logging()
    texts = {path: path.read_text() for path in tmp_path.iterdir()}
    assert gone not in texts
    assert len(texts) == 2
    assert sorted(re.findall("first|second|third", "".join(texts.values()))) == ["second", "third"]


def add_a_day(record: "Record") -> None:
    record["time"] += timedelta(days=1, minutes=1)


WORKER = """
import io, sys
from datetime import timedelta
from pathlib import Path
from loguru import logger
from extensions.logger import close_logging, configure_logging
from settings.testing_config import TestingSettings

configure_logging(TestingSettings(log_dir=Path(sys.argv[1])), io.StringIO())
print("ready", flush=True)
sys.stdin.readline()
late = logger.patch(lambda record: record.update(time=record["time"] + timedelta(days=1, minutes=1)))
for number in range(5000):
    (logger if number < 2500 else late).error("worker {} line {}.", sys.argv[2], number)
close_logging()
"""


@pytest.mark.slow
def test_four_processes_lose_no_line_across_a_rotation(tmp_path: Path) -> None:
    """The rotation is the real one at 12:00; the clock of the second half is a day ahead."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.communicate("go\n", timeout=120)
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    files = list(tmp_path.iterdir())
    found = [pair for path in files for pair in re.findall(r"worker (\d) line (\d+)\.\n", path.read_text())]
    assert len(files) == 8
    assert len(found) == 20_000
    assert set(found) == {(str(worker), str(number)) for worker in range(4) for number in range(5000)}


FORK = """
import asyncio, os
from extensions.logger import configure_logging, log_access
from settings.testing_config import TestingSettings

async def main():
    configure_logging(TestingSettings())
    log_access("GET", "/once", 200, 0, 0, "-", "-")
    if os.fork() == 0:
        log_access("GET", "/child", 200, 0, 0, "-", "-")
    else:
        os.wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_does_not_write_its_parents_lines() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(re.findall(r"/\w+", done.stderr)) == ["/child", "/once"]
