"""The files in deploy/ are valid and agree with each other and the service, and what they set starts in production."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.routing import iter_route_contexts

from api import create_app
from api.shopdemo.goods.goods import MAX_UPLOAD_BYTES
from commands.problems import lonely_workers
from extensions.pictures import BYTES_PER_PIXEL
from extensions.server import KEEP_ALIVE_SECONDS
from settings import Settings, examine_settings
from settings.base import KIBIBYTE, MEBIBYTE
from settings.testing_config import TestingSettings
from tests.support.processes import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUSTOMIZATION = KUBERNETES / "kustomization.yaml"
MANIFESTS = sorted({*KUBERNETES.glob("*.yaml")} - {KUSTOMIZATION})
NGINX = (DEPLOY / "nginx.conf").read_text("utf-8")

DEFAULTS = Settings.model_fields
CLOSING_SECONDS = 5
UPLOADS = 12  # of administrators at the same time
INSIDE = {"/metrics", "/readyz", "/paymentdemo"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
EXAMPLE = DEPLOY / ".env.example"
HIDDEN = "0123456789abcdef" * 4


def run_tool(name: str, *arguments: str | Path) -> None:
    """A linter of this environment, which must find nothing."""
    command = [Path(sys.executable).with_name(name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def mebibytes(quantity: str) -> int:
    """What Kubernetes calls 64Mi."""
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))


@pytest.fixture
def compose() -> dict[str, Any]:
    """compose.yaml with what .env.example asks for filled in."""
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    example = EXAMPLE.read_text("utf-8")
    assert [name for name, _, _ in VARIABLE.findall(text) if f"{name}=" not in example] == []
    filled: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda found: found[3] if found[2] == "-" else HIDDEN, text))
    return filled


@pytest.fixture
def kinds() -> dict[str, Any]:
    """The resources of Kubernetes by kind; there is one of each."""
    resources = [resource for path in MANIFESTS for resource in yaml.safe_load_all(path.read_text("utf-8"))]
    found = {resource["kind"]: resource for resource in resources}
    assert len(found) == len(resources)
    return found


@pytest.fixture
def starts_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, str]], Settings]:
    """The settings that these variables make, once nothing speaks against starting by them."""

    def read(environment: dict[str, str]) -> Settings:
        monkeypatch.chdir(tmp_path)  # has no .env
        for name, value in environment.items():
            assert name.startswith("APP_")
            monkeypatch.setenv(name, value)
        settings, problems = examine_settings()
        assert [*problems, *lonely_workers(settings)] == []
        assert settings.env == "production"
        return settings

    return read


def test_the_dockerfile_is_clean() -> None:
    run_tool("hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")


def test_the_image_is_made_of_what_the_service_needs(starts_with: Callable[[dict[str, str]], Settings]) -> None:
    """Nothing of the builder's own gets in, and everything that the code is made of does."""
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert next(rule for rule in rules if rule and rule[0] != "#") == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    code = {"main.py", "api", "commands", "extensions", "settings", "utils"}
    assert sent == code | {"Pipfile", "Pipfile.lock", "deploy/gunicorn.conf.py"}
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    own = dict(re.findall(r"\b(APP_\w+)=(\S*)", text))
    missing = {"APP_SECRET_KEY": HIDDEN, "APP_DATABASE_URL": "postgresql+asyncpg://app@db/app"}
    assert starts_with({**own, **missing}).host == "0.0.0.0"


def test_compose_is_valid() -> None:
    run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


@pytest.mark.parametrize("service", ["app-1", "app-2", "migrate"])
def test_what_compose_sets_starts(
    compose: dict[str, Any], starts_with: Callable[[dict[str, str]], Settings], service: str
) -> None:
    (file,) = compose["services"][service]["env_file"]
    assert DEPLOY / f"{file}.example" == EXAMPLE
    offered = dict(re.findall(r"^(?:# )?(APP_\w+)=(.*)$", EXAMPLE.read_text("utf-8"), re.MULTILINE))
    settings = starts_with({**offered, **compose["services"][service]["environment"]})
    nginx = compose["services"]["nginx"]["networks"]["inside"]["ipv4_address"]
    assert settings.trusted_proxies == nginx
    assert int(compose["services"][service]["stop_grace_period"][:-1]) >= settings.grace_seconds + CLOSING_SECONDS
    connections = [part for part in compose["services"]["postgres"]["command"] if "max_connections" in part]
    assert min(settings.rate_per_user, settings.rate_per_address) > 0
    assert settings.cors_origins == (f"https://{settings.allowed_hosts[0]}",)  # as the example has it
    used = 2 * settings.workers * 3 * settings.database_pool_size
    assert int(connections[0].partition("=")[2]) > used


def test_compose_lets_only_nginx_be_reached(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["app-1", "app-2"]  # image's
    hardened = {"nginx", "app-1", "app-2", "migrate", "redis"}
    assert {name for name, service in services.items() if service.get("read_only")} == hardened
    assert all(service["networks"] for service in services.values())


def test_nginx_fits_the_rest(compose: dict[str, Any]) -> None:
    asked = re.findall(r"server ([\w-]+):(\d+)", NGINX)
    assert asked == [(name, str(DEFAULTS["port"].default)) for name in ("app-1", "app-2")]
    assert {name for name, _ in asked} <= compose["services"].keys()
    assert re.findall(r"client_max_body_size (\d+)k", NGINX) == [str(MAX_UPLOAD_BYTES // KIBIBYTE)]
    assert DEFAULTS["max_body_bytes"].default <= MAX_UPLOAD_BYTES
    kept = [int(seconds) for seconds in re.findall(r"keepalive_timeout (\d+)s", NGINX)]
    assert max(kept) < KEEP_ALIVE_SECONDS
    assert compose["services"]["nginx"]["ports"] == [f"8080:{re.findall(r'listen (.+);', NGINX)[0]}"]


def test_kubernetes_is_valid() -> None:
    run_tool("kubernetes-validate", "--strict", *MANIFESTS)


def test_what_kubernetes_sets_starts(kinds: dict[str, Any], starts_with: Callable[[dict[str, str]], Settings]) -> None:
    secret = {**kinds["Secret"]["stringData"], "APP_SECRET_KEY": HIDDEN}
    assert kinds["Secret"]["stringData"]["APP_SECRET_KEY"] == ""  # as it is, it is refused
    settings = starts_with({**kinds["ConfigMap"]["data"], **secret})
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    delay = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= delay + settings.grace_seconds + CLOSING_SECONDS
    assert container["ports"] == [{"name": "http", "containerPort": settings.port}]
    assert min(settings.rate_per_user, settings.rate_per_address) > 0
    for kind in ("Deployment", "Job"):
        pod = kinds[kind]["spec"]["template"]["spec"]
        sources = [next(iter(source.values()))["name"] for source in pod["containers"][0]["envFrom"]]
        assert sources == [kinds["ConfigMap"]["metadata"]["name"], kinds["Secret"]["metadata"]["name"]]
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def test_a_pod_has_memory_for_what_comes_at_once(kinds: dict[str, Any]) -> None:
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    needs, limit = (mebibytes(container["resources"][kind]["memory"]) for kind in ("requests", "limits"))
    (files,) = [mebibytes(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"] if "emptyDir" in volume]
    assert limit > needs + files + BYTES_PER_PIXEL * DEFAULTS["max_picture_pixels"].default / MEBIBYTE
    assert files * MEBIBYTE >= UPLOADS * MAX_UPLOAD_BYTES


def test_kubernetes_parts_find_each_other(kinds: dict[str, Any]) -> None:
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == kinds["Deployment"]["metadata"]["name"]
    volumes = kinds["Deployment"]["spec"]["template"]["spec"]["volumes"]
    claims = [claim["claimName"] for volume in volumes if (claim := volume.get("persistentVolumeClaim"))]
    assert claims == [kinds["PersistentVolumeClaim"]["metadata"]["name"]]
    kustomization = yaml.safe_load(KUSTOMIZATION.read_text("utf-8"))
    applied = {path.name for path in MANIFESTS} - {"secret.example.yaml"}
    assert set(kustomization["resources"]) == applied


def test_the_ingress_names_all_that_is_for_outside(kinds: dict[str, Any]) -> None:
    app = create_app(TestingSettings())
    first = {f"/{str(found.path).split('/')[1]}" for found in iter_route_contexts(app.routes)}
    paths = kinds["Ingress"]["spec"]["rules"][0]["http"]["paths"]
    assert {path["path"] for path in paths} == first - INSIDE
    assert {path["backend"]["service"]["name"] for path in paths} == {kinds["Service"]["metadata"]["name"]}
    notes = {key.rpartition("/")[2]: value for key, value in kinds["Ingress"]["metadata"]["annotations"].items()}
    assert notes["proxy-body-size"] == f"{MAX_UPLOAD_BYTES // KIBIBYTE}k"
