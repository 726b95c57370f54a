from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ingestion.settings import PREFIX, Settings


def test_without_variables_the_service_is_embedded() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.home_dir == Path("~/.ingestion").expanduser().resolve()
    assert (settings.host, settings.port, settings.warehouse) == ("127.0.0.1", 8000, "duckdb")
    assert settings.store_url == f"sqlite:///{settings.home_dir}/ingestion.sqlite"


def test_every_field_is_a_variable() -> None:
    given = {
        "INGESTION_HOME": "/srv/ingestion",
        "INGESTION_PORT": "0",
        "INGESTION_DATABASE_URL": "postgresql://u@h/d",
        "INGESTION_SYNC_LIMIT_SECONDS": "2.5",
        "UNRELATED": "x",
    }
    settings = Settings.from_environment(given)
    assert (settings.home, settings.port, settings.sync_limit_seconds) == (Path("/srv/ingestion"), 0, 2.5)
    assert settings.store_url == "postgresql://u@h/d"


def test_the_process_s_own_variables_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INGESTION_HOME", str(tmp_path))
    assert Settings.from_environment().home_dir == tmp_path.resolve()


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"INGESTION_PORT": "", "INGESTION_DATABASE_URL": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("PORT", "x"), ("WAREHOUSE", "oracle"), ("SYNC_LIMIT_SECONDS", "0")]
)
def test_a_wrong_value_names_its_field(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name.lower()):
        Settings.from_environment({PREFIX + name: value})


def test_a_child_process_reads_the_same_settings() -> None:
    settings = Settings(home=Path("/a b"), port=1, auth_issuer="https://issuer", sync_limit_seconds=0.1)
    environment = settings.to_environment()
    assert Settings.from_environment(environment) == settings
    assert set(environment) <= {PREFIX + name.upper() for name in Settings.model_fields}
    assert "INGESTION_DAGSTER_URL" not in environment


def test_every_folder_is_in_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    folders = [
        getattr(settings, name)
        for name, value in vars(Settings).items()
        if isinstance(value, property) and name.endswith("_dir") and name != "home_dir"
    ]
    assert len(folders) >= 7
    assert {folder.parent for folder in folders} == {tmp_path.resolve()}
    assert settings.dagster_home.parent == tmp_path.resolve()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_dagster_s_database_is_reached_by_the_driver_dagster_works_with(scheme: str) -> None:
    settings = Settings(dagster_database_url=f"{scheme}://u@h/d")
    assert settings.dagster_database_url == "postgresql+psycopg2://u@h/d"


@pytest.mark.parametrize("url", ["sqlite:///x", "mysql://u@h/d", "postgresql+asyncpg://u@h/d", "h/d"])
def test_dagster_s_database_is_postgresql(url: str) -> None:
    with pytest.raises(ValidationError, match="PostgreSQL address"):
        Settings(dagster_database_url=url)
