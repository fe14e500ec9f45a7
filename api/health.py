"""Whether the service lives, and whether it can do its work."""

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.datastructures import State

from utils.custom_exc import NotReady, errors
from utils.routing import EnvelopeRoute

router = APIRouter(route_class=EnvelopeRoute, tags=["service"])


class Health(BaseModel):
    """The process answers."""

    status: str = "alive"


class Readiness(BaseModel):
    """Everything that is needed can be reached; `checks` says what was asked."""

    status: Literal["ready", "degraded"] = "ready"
    checks: list[str]
    problems: list[str] = Field([], description="What only a part of the service needs and is away.")


@router.get("/healthz")
async def show_health() -> Health:
    """Whether this process is alive; asks nobody else."""
    return Health()


@router.get("/readyz", responses=errors(NotReady))
async def show_readiness(request: Request) -> Readiness:
    """Whether every dependency can be reached and the schema is current; 503 names which is not."""
    state = request.app.state
    if problems := await find_problems(state):
        raise NotReady(f"Not ready: {'; '.join(problems)}.", data={"problems": problems})
    checks = [*_checked(state), *_checked(state, essential=False), "schema"]
    if problems := await _find_away(state, essential=False):
        return Readiness(status="degraded", checks=checks, problems=problems)
    return Readiness(checks=checks)


async def find_problems(state: State) -> list[str]:
    """One sentence for each resource that cannot be reached; if all can, for each schema that is out of date."""
    if away := await _find_away(state, essential=True):
        return away
    try:
        return await schema_problems(state)
    except NotReady:  # it went away just now
        return ["database cannot be reached"]


async def schema_problems(state: State) -> list[str]:
    """One sentence for each sub-project whose tables are not the ones of this code."""
    found = [migrations for project in state.projects if (migrations := project.migrations)]
    return [
        f"the schema of {migrations.project} is out of date: run `python main.py migrate`"
        for migrations in found
        if not await migrations.is_current(state.database)
    ]


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
