"""Whether the service lives, and whether it can do its work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.datastructures import State

from extensions.metrics import gauge
from extensions.migrations import Migrations
from utils.background import Background
from utils.custom_exc import NotReady, errors
from utils.response_code import Output
from utils.routing import EnvelopeRoute

LOOK_SECONDS = 15.0  # as often as Prometheus asks for metrics

router = APIRouter(route_class=EnvelopeRoute, tags=["service"])

_readiness = gauge("service_readiness", "Worker processes by what /readyz says of them.", ("status",))
for _status in ("ready", "degraded", "unready"):
    _readiness.labels(_status)  # who waits for one of them must see that there is none


class Health(Output):
    """The process answers."""

    status: str = "alive"


class Readiness(Output):
    """Everything that is needed can be reached; `checks` says what was asked."""

    status: Literal["ready", "degraded"] = "ready"
    checks: list[str]
    problems: list[str] = Field(
        [], description="What is away and only a part needs, and schemas that are newer than the code."
    )


@router.get("/healthz")
async def show_health() -> Health:
    """Whether this process is alive; asks nobody else."""
    return Health()


@router.get("/readyz", responses=errors(NotReady))
async def show_readiness(request: Request) -> Readiness:
    """Whether every dependency can be reached and the schema is current; 503 names which is not."""
    return await examine(request.app.state)


async def examine(state: State) -> Readiness:
    """Ask all dependencies; raises NotReady, which names what is away."""
    if problems := await find_problems(state):
        raise NotReady(f"Not ready: {'; '.join(problems)}.", data={"problems": problems})
    checks = [*_checked(state), *_checked(state, essential=False), "schema"]
    if problems := [*await _find_away(state, essential=False), *await newer_schemas(state)]:
        return Readiness(status="degraded", checks=checks, problems=problems)
    return Readiness(checks=checks)


class Watch:
    """Tells the metrics what `/readyz` would say: nobody may be asking, and somebody must be woken."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._told: str | None = None

    async def look(self) -> None:
        try:
            status: str = (await examine(self._state)).status
        except NotReady:
            status = "unready"
        self.tell(status)

    def tell(self, status: str | None) -> None:
        """Count this worker there, and no longer where it was; None when it ends."""
        if self._told:
            _readiness.labels(self._told).dec()
        if status:
            _readiness.labels(status).inc()
        self._told = status


@asynccontextmanager
async def watched(state: State) -> AsyncIterator[None]:
    """Look again and again for as long as everything is open."""
    watch = Watch(state)
    background = Background()
    background.every(LOOK_SECONDS, watch.look)
    try:
        yield
    finally:
        await background.close()
        watch.tell(None)


async def find_problems(state: State) -> list[str]:
    """One sentence for each resource that cannot be reached; if all can, for each schema that is out of date."""
    if away := await _find_away(state, essential=True):
        return away
    try:
        return await schema_problems(state)
    except NotReady:  # it went away just now
        return ["database cannot be reached"]


async def schema_problems(state: State) -> list[str]:
    """One sentence for each sub-project whose tables are not the ones of this code, nor of newer code."""
    return [
        f"the schema of {migrations.project} is out of date: run `python main.py migrate`"
        for migrations in _migrations(state)
        if await migrations.is_out_of_date(state.database)
    ]


async def newer_schemas(state: State) -> list[str]:
    """One sentence for each sub-project whose tables are those of newer code, with which this code goes on."""
    return [
        f"the schema of {migrations.project} is newer than this code"
        for migrations in _migrations(state)
        if await migrations.is_ahead(state.database)
    ]


def _migrations(state: State) -> list[Migrations]:
    return [migrations for project in state.projects if (migrations := project.migrations)]


async def _find_away(state: State, *, essential: bool) -> list[str]:
    """Asked all at once: each may take its time until it counts as away."""
    names = _checked(state, essential=essential)
    reasons = await asyncio.gather(*(_why_away(name, state.resources[name]) for name in names))
    return [reason for reason in reasons if reason]


def _checked(state: State, *, essential: bool = True) -> list[str]:
    """The resources that can be asked; those that are not essential say so."""
    return [
        name
        for name, resource in state.resources.items()
        if hasattr(resource, "check") and getattr(resource, "essential", True) is essential
    ]


async def _why_away(name: str, resource: Any) -> str | None:
    try:
        await resource.check()
    except NotReady as error:
        if error.message != NotReady.message:
            return f"{name}: {error.message.rstrip('.')}"
        return f"{name} cannot be reached"
    return None
