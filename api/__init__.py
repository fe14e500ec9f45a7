"""What the world can ask: `create_app()` finds the sub-projects, opens what they need and mounts them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from loguru import logger
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api import health, metrics, pages
from api.middleware import RequestMiddleware
from api.openapi import tidy_openapi
from api.projects import Resource, find_projects, open_resources
from api.rate_limit import RATE_LIMIT_HEADERS, RateLimitMiddleware, limits_rates
from extensions.logger import close_logging
from extensions.rate_counts import open_rate_counts
from extensions.sampler import open_sampler
from extensions.security import open_tokens
from extensions.tracing import TRACE_HEADER, make_tracer_provider, open_tracing, telemetry
from settings import Problem, Settings, SettingsError, get_settings
from utils.custom_exc import NotReady
from utils.exception_handlers import FailureMiddleware, register_exception_handlers
from utils.hosts import HostMiddleware
from utils.overload import Load, OverloadMiddleware
from utils.ready_answers import ReadyAnswersMiddleware
from utils.routing import mount_flat
from utils.slashes import redirect_slashes

VERSION = "0.1.0"
TITLE = "myFastAPI"
DESCRIPTION = "A layered REST and realtime service. Every JSON answer is `{code, message, data}`."

ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})  # whoever watches is never refused
EXPOSED_HEADERS = ("ETag", "Location", "Retry-After", "X-Request-ID", "Content-Disposition", *RATE_LIMIT_HEADERS)
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),  # what may be kept says so itself
)
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service; raises SettingsError or ProjectError when it cannot be built."""
    settings = settings or get_settings()
    projects = find_projects(settings.projects)
    tracer_provider = make_tracer_provider(settings, VERSION)
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # Starlette's own makes the address from the Host header
        middleware=_middleware(settings),
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        telemetry=telemetry(tracer_provider),
    )
    app.state.app = app  # what `extensions.http_client` calls by the name `self`
    app.state.settings = settings
    app.state.projects = projects
    app.state.tracer_provider = tracer_provider
    register_exception_handlers(app)
    mount_flat(app, health.router)
    mount_flat(app, metrics.router)
    pages.mount_pages(app, {project.name: project.summary for project in projects})
    for project in projects:
        mount_flat(app, project.router, max_body_size=settings.max_body_bytes)
    redirect_slashes(app.router)
    app.openapi = partial(tidy_openapi, app.openapi, ALWAYS_ANSWERED)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with open_resources(app.state, *_resources(app.state.settings)):
        await _refuse_or_report_schema(app.state)
        try:
            async with health.watched(app.state):
                yield
        finally:
            close_logging()


async def _refuse_or_report_schema(state: State) -> None:
    """In production raise SettingsError when the schema is out of date; a database that is away may come back."""
    try:
        problems, newer = await health.schema_problems(state), await health.newer_schemas(state)
    except NotReady:
        problems, newer = [], []
        logger.warning("The database cannot be reached; /readyz says when it can.")
    for problem in (*problems, *newer):
        logger.warning(problem)
    if problems and state.settings.env == "production":
        raise SettingsError([Problem("database", problem, "see `python main.py doctor`") for problem in problems])


def _resources(settings: Settings) -> tuple[Resource, ...]:
    """What is opened whatever the sub-projects require."""
    return (open_tracing, open_sampler, *((open_tokens, open_rate_counts) if limits_rates(settings) else ()))


def _operation_id(route: APIRoute) -> str:
    return route.name


def _middleware(settings: Settings) -> list[Middleware]:
    """From the outside in; CORS and the request id stand outside of the answers to failures."""
    headers = (*SECURITY_HEADERS, HSTS) if settings.env == "production" else SECURITY_HEADERS
    tracing = bool(settings.otlp_endpoint)
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=settings.cors_credentials,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=(*EXPOSED_HEADERS, TRACE_HEADER) if tracing else EXPOSED_HEADERS,
    )
    hosts = Middleware(HostMiddleware, hosts=settings.allowed_hosts, exempt=ALWAYS_ANSWERED)
    load = Load(settings.max_under_way, settings.max_wait_seconds)
    overload = Middleware(OverloadMiddleware, load=load, exempt=ALWAYS_ANSWERED)
    rate_limit = Middleware(RateLimitMiddleware, settings=settings, exempt=ALWAYS_ANSWERED)
    return [
        Middleware(RequestMiddleware, headers=headers, tracing=tracing),
        *([cors] if settings.cors_origins else []),
        *([rate_limit] if limits_rates(settings) else []),
        Middleware(FailureMiddleware),
        *([hosts] if settings.allowed_hosts else []),
        Middleware(ReadyAnswersMiddleware),
        overload,  # what is ready is answered sooner than refused
    ]
