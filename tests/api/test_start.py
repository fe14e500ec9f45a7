"""How the service starts: what it refuses, and what it only reports."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api import create_app
from settings import SettingsError
from settings.production_config import ProductionSettings


def test_production_does_not_start_on_tables_of_other_code(tmp_path: Path) -> None:
    settings = ProductionSettings(
        secret_key="a-secret-of-more-than-thirty-two-characters",  # type: ignore[arg-type]  # pydantic reads it
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'new.db'}",
        log_dir=None,
    )
    with pytest.raises(SettingsError, match="the schema of shopdemo is out of date"), TestClient(create_app(settings)):
        pass
