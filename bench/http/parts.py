"""The parts of one run: the envelope alone, then the shop on each database."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.databases import Database, sqlite_database
from bench.http import cases
from bench.http.cases import Case, Question
from bench.http.contestants import ENVELOPE, SHOP, Contestant, Place
from bench.http.load import LoadError
from bench.http.measure import Row, Runner, compare, create_arguments, read_arguments
from bench.http.models import ONE, PAGE
from bench.http.ours import admin_token, cursor_before
from bench.http.report import BASE
from bench.http.server import Answer, Server
from bench.prepare import migrate


@dataclass(frozen=True)
class Options:
    """How long, and what."""

    rounds: int
    seconds: int
    only: frozenset[str]

    def wants(self, name: str, known: Iterable[str]) -> bool:
        """Whether it was asked for, or nothing of its kind was."""
        return name in self.only or self.only.isdisjoint(known)


@dataclass(frozen=True)
class Started:
    """One way that runs, with its own database if it has one."""

    who: Contestant
    server: Server
    database: Database | None

    def has_created(self, sent: int) -> None:
        """Every create that was answered must be a row now."""
        found = self.database.count("shopdemo_goods") if self.database else cases.GOODS + sent
        if found < cases.GOODS + sent:
            raise LoadError(f"{self.who.name}: {sent} creates, but only {found} goods are there")


def envelope_part(rows: list[Row], work: Path, core: int, options: Options) -> None:
    """Fixed answers without a database: what the envelope costs, alone and with everything around it."""
    answers = {"one": ONE.model_dump(mode="json"), "page": PAGE.model_dump(mode="json")}
    for name, data in answers.items():
        text = json.dumps({"code": 200, "message": "Success", "data": data}, ensure_ascii=False, separators=(",", ":"))
        (work / f"{name}.json").write_text(text)
    with ExitStack() as stack:
        database = stack.enter_context(sqlite_database(work))
        migrate(database)  # the whole service wants one, even if nobody asks it
        started = start(stack, ENVELOPE, Place(work, core, database, bodies=work), options)
        for case, data in answers.items():
            if options.wants(case, answers):
                path = f"/fixed/{case}"
                arguments = read_arguments([path], work / f"fixed-{case}.txt")
                runners = [Runner(one.server, arguments, _same(one.who, one.server, path, data)) for one in started]
                rows += compare("envelope", case, runners, options.rounds, options.seconds)


def start(stack: ExitStack, contestants: Sequence[Contestant], place: Place, options: Options) -> list[Started]:
    """Start those that are wanted, and the base; each works on its own copy of the database."""
    known = [who.name for who in contestants]
    started = []
    for who in contestants:
        if who.name == BASE or options.wants(who.name, known):
            copy = stack.enter_context(place.database.copy()) if place.database and who.name != "bare" else None
            own = Place(place.work, place.core, copy, place.bodies)
            started.append(Started(who, stack.enter_context(who.start(who.name, own)), copy))
    return started


def _same(who: Contestant, server: Server, path: str, data: object) -> Callable[[], int]:
    def check() -> int:
        answer = _succeeded(server.ask(path), path)
        if who.unwrap(json.loads(answer.body)) != data:
            raise ValueError(f"{who.name}: {answer.body!r} is not {data}")
        return len(answer.body)

    return check


def _succeeded(answer: Answer, path: str) -> Answer:
    if answer.status not in (200, 201):
        raise LoadError(f"{path}: {answer.status} {answer.body[:500]!r}")
    return answer


def shop_part(rows: list[Row], part: str, work: Path, core: int, template: Database, options: Options) -> None:
    """The shop with its goods in a database, every way on its own copy."""
    folder = work / part
    folder.mkdir()
    place = Place(folder, core, template, bodies=folder)
    known = [case.name for case in cases.CASES]
    with ExitStack() as stack:
        started = start(stack, SHOP, place, options)
        for case in cases.CASES:
            if options.wants(case.name, known):
                runners = [_runner(case, one.who, one.server, folder) for one in started]
                runners.sort(key=lambda runner: runner.server.name == "bare")  # it answers what another one answered
                rows += compare(part, case.name, runners, options.rounds, options.seconds)
                if case.kind == "create":
                    sent = {runner.server.name: runner.sent for runner in runners}
                    for one in started:
                        one.has_created(sent[one.who.name])


def _runner(case: Case, who: Contestant, server: Server, folder: Path) -> Runner:
    if who.name == "bare":
        questions = [Question(f"/{case.kind}", 0)]
        check = _bare_check(server, case, questions[0].path)
    else:
        questions = case.questions(cursor_before if who.ours else str)
        check = _shop_check(case, who, server, questions, folder)
    if case.kind == "create":
        return Runner(
            server,
            create_arguments(questions[0].path, cases.new_goods_body(), _token(who)),
            check,
        )
    paths = [question.path for question in questions]
    return Runner(server, read_arguments(paths, folder / f"{who.name}-{case.name}.txt"), check, case.connections)


def _token(who: Contestant) -> str:
    return admin_token() if who.ours else "none"


def _bare_check(server: Server, case: Case, path: str) -> Callable[[], int]:
    def check() -> int:
        body = cases.new_goods_body() if case.kind == "create" else None
        return len(_succeeded(server.ask(path, body), path).body)

    return check


def _shop_check(
    case: Case, who: Contestant, server: Server, questions: Sequence[Question], folder: Path
) -> Callable[[], int]:
    """Ask the first few questions and compare every answer; leave one to the limit as its fixed bytes."""

    def check() -> int:
        lengths = []
        for question in questions[:20]:
            body = cases.new_goods_body() if case.kind == "create" else None
            answer = _succeeded(server.ask(question.path, body, _token(who)), question.path)
            cases.check(case.kind, question, who.unwrap(json.loads(answer.body)))
            lengths.append(len(answer.body))
            if who.name == BASE:
                (folder / f"{case.kind}.json").write_bytes(answer.body)
        return min(lengths)

    return check
