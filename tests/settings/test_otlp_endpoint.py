"""Where traces are sent: an address of HTTP, or nowhere."""

import pytest

from settings import examine_settings
from settings.testing_config import TestingSettings


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", "grpc://127.0.0.1:4317", "http://", "http://127.0.0.1:99999", "http://host/?a=1"]
)
def test_an_address_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("APP_ENV", "testing")
    monkeypatch.setenv("APP_OTLP_ENDPOINT", endpoint)
    _, problems = examine_settings()
    wanted = "must be the address of a collector, such as http://127.0.0.1:4318, or empty"
    assert [(problem.setting, problem.reason) for problem in problems] == [("APP_OTLP_ENDPOINT", wanted)]


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:4318", "https://collector.example.com/otlp/"])
def test_an_address_or_none(endpoint: str) -> None:
    assert TestingSettings(otlp_endpoint=endpoint).otlp_endpoint == endpoint
