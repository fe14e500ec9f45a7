"""Schemathesis on every operation: what the document says is sent, and what it forbids, with a fixed seed."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName
from schemathesis.python import asgi

from api.shopdemo.schemas import Goods
from utils.fields import MAX_ID

SEED = 20_260_101
EXAMPLES = 20  # in each phase for each operation; a bound in time would make it run on until then

# It never ends, which no generated request could wait for; its own tests read from it.
ENDLESS = "/websocketdemo/rooms/{room}/events"

RULES_BETWEEN = (["query"], ["body"], ["body", "items"])

FIXED_PATHS = ("/shopdemo/goods/import", "/shopdemo/goods/export", "/accounts/users/me")

Headers = dict[str, str]


def configuration(headers: Headers) -> SchemathesisConfig:
    """All checks and all phases, as whoever these headers say."""
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": headers,
            "continue-on-failure": True,
            "generation": {
                "deterministic": True,
                "database": "none",
                "max-examples": EXAMPLES,
                "no-shrink": True,
                "allow-x00": False,  # 422 on purpose, and no schema says so; the tests of goods send it
            },
            "phases": {"stateful": {"max-steps": 6}},
        }
    )


def failures(found: events.EngineEvent) -> Iterator[str]:
    """What one step of the run says against the service."""
    if isinstance(found, events.ScenarioFinished):
        for case_id, checks in found.recorder.checks.items():
            response = found.recorder.interactions[case_id].response
            case = found.recorder.cases[case_id].value
            for check in checks:
                if check.failure_info and not is_intended(check.name, case, response):
                    failure = check.failure_info
                    said = response.text[:300] if response else "nothing"
                    yield "\n".join(
                        [f"{found.label}: {check.name}: {failure.failure.message}", failure.code_sample, said]
                    )
    elif isinstance(found, events.NonFatalError | events.FatalError):
        yield repr(found)


def is_intended(check: str, case: schemathesis.Case[Any], response: Response | None) -> bool:
    """What is no failure, and why."""
    if check in ("unsupported_method", "allow_header_conformance") and case.operation.path in FIXED_PATHS:
        return True  # for other methods these words are an id of …/{goods_id} or …/{user_id} that is no number: 422
    if check == "negative_data_rejection" and any(";" in str(value) for value in (case.cookies or {}).values()):
        return True  # a semicolon ends a cookie: what comes is shorter than what is forbidden
    if check == "positive_data_acceptance" and response is not None:
        body = response.json()
        # What no schema says: the ETag to send, and the rules that have a number of their own.
        if response.status_code in (412, 428) or body["code"] > 1000:
            return True
        # A form has its file and at most one field beside it, but a schema of OpenAPI lets any number of fields be.
        if body["message"].startswith("Too many fields"):
            return True
        wrong = (body["data"] or {}).get("errors", [])
        return bool(wrong) and all(_is_beyond_schemas(error) for error in wrong)
    return False


def _is_beyond_schemas(error: dict[str, Any]) -> bool:
    """Rules between two fields, or two items of a list; whole numbers written as 1.0, which we do not take for some.

    And the largest id, which FastAPI writes into the document as a float, rounded up.
    """
    is_largest = error["type"] == "less_than_equal" and error["message"].endswith(str(MAX_ID))
    return error["loc"] in RULES_BETWEEN or error["type"] == "int_type" or is_largest


@pytest.mark.slow
def test_fuzz(app: FastAPI, admin: Headers, catalogue: dict[str, Goods]) -> None:
    tested = fuzz(app, admin, exclude={"path": ENDLESS})
    operations = {f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item}
    assert tested >= operations - {f"GET {ENDLESS}"}


@pytest.mark.slow
def test_fuzz_the_payment_gateway(app: FastAPI) -> None:
    """By the shop: whoever has its key gets further than an administrator."""
    key = {"Authorization": f"Bearer {app.state.settings.payment_key}"}
    assert len(fuzz(app, key, include={"path_regex": "^/paymentdemo"})) >= 4


def fuzz(
    app: FastAPI, headers: Headers, *, include: dict[str, str] | None = None, exclude: dict[str, str] | None = None
) -> set[str | None]:
    """Run all phases on some of the operations; answers which."""
    schema: Any = schemathesis.openapi.from_asgi("/openapi.json", app, config=configuration(headers))
    for item in schema.raw_schema["paths"].values():
        for operation in item.values():
            del operation["responses"]["default"]  # with it, no status would be one too many
    schema = schema.include(**include) if include else schema.exclude(**(exclude or {}))
    wrong: dict[str, None] = {}
    finished: set[PhaseName] = set()
    tested: set[str | None] = set()
    try:
        for event in from_schema(schema).execute():
            wrong |= dict.fromkeys(failures(event))
            if isinstance(event, events.PhaseFinished):
                finished.add(event.phase.name)
            if isinstance(event, events.ScenarioFinished):
                tested.add(event.label)
    finally:
        asgi.shutdown_lifespans()
    assert not wrong, "\n".join(wrong)
    assert finished >= {PhaseName.EXAMPLES, PhaseName.COVERAGE, PhaseName.FUZZING, PhaseName.STATEFUL_TESTING}
    return tested
