"""Nothing of the public surface is undocumented, and nothing documented is stale."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from api.auth.permissions import ALL, ROLES
from api.errors import STATUSES
from api.table import ENDPOINTS
from ingestion.cli import app
from ingestion.errors import ExecutionFailure
from ingestion.model.connections import CONNECTION_MODELS, DatabaseCredentials
from ingestion.model.connections.api import AUTH_MODELS
from ingestion.model.connections.pagination import Pagination
from ingestion.model.execution import ExecutionStatus, TaskStatus
from ingestion.model.extraction import ApiExtraction, DatabaseExtraction, FileExtraction, FileFormat
from ingestion.model.load import ChangePolicy, HistoryColumns, LoadParams, PartitionType, SchemaPolicy, WriteDisposition
from ingestion.model.macros import MACRO_NAMES
from ingestion.model.pipeline import Deduplication, PipelineConfiguration, TransformationParams
from ingestion.model.quality import CheckSpec, QualityParams
from ingestion.model.schema import FieldMode, FieldType, SchemaField
from ingestion.model.source import SourceStatus
from ingestion.orchestration.launch import LAUNCH_FAILED
from ingestion.settings import PREFIX, Settings
from ingestion.store.acceptance import SUPERSEDED
from ingestion_tests.servers.stack import Stack
from scripts import source_tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONFIGURATION_PAGES = [ROOT / "docs" / "pipelines.md", ROOT / "docs" / "google.md", *(ROOT / "docs/sources").glob("*")]
PIPELINES = "\n".join(page.read_text(encoding="utf-8") for page in CONFIGURATION_PAGES)

CONFIGURATION_MODELS: list[type[BaseModel]] = [
    PipelineConfiguration,
    FileExtraction,
    DatabaseExtraction,
    ApiExtraction,
    Pagination,
    *AUTH_MODELS.values(),
    TransformationParams,
    Deduplication,
    LoadParams,
    SchemaPolicy,
    HistoryColumns,
    QualityParams,
    CheckSpec,
    SchemaField,
    DatabaseCredentials,
    *CONNECTION_MODELS.values(),
]


def settings_table() -> str:
    """The README's table of settings."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def row_of(page: str, first_cell: str) -> str:
    """The table row that begins with a cell."""
    found = [line for line in page.splitlines() if line.startswith(f"| {first_cell} |")]
    assert len(found) == 1, f"{first_cell} has {len(found)} rows"
    return found[0]


def failure_codes() -> set[str]:
    known = {LAUNCH_FAILED, SUPERSEDED}
    pending = [ExecutionFailure]
    while pending:
        error = pending.pop()
        known.add(error.code)
        pending += error.__subclasses__()
    return known


def test_the_settings_table_is_that_of_the_code() -> None:
    assert settings_table() in README


def test_the_page_of_all_sources_is_that_of_the_code() -> None:
    assert source_tables.PAGE.read_text(encoding="utf-8") == source_tables.page()


def test_every_command_and_flag_is_in_the_readme() -> None:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f"`ingestion {name}`" in README
        for flag in command.params:
            assert f"`{flag.opts[0]}`" in README, f"{flag.opts[0]} of {name}"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_endpoint_is_documented(endpoint: Any) -> None:
    row = row_of(API, f"`{endpoint.method} {endpoint.path.replace(':path', '')}`")
    assert row.endswith(f"| {endpoint.summary} | `{endpoint.permission}` | {endpoint.status} |")


def test_every_error_code_is_documented_with_its_status() -> None:
    for code, status in STATUSES.items():
        assert row_of(API.split("## Executions")[0], f"`{code}`").startswith(f"| `{code}` | {status} |")


def test_every_failure_code_is_documented_and_no_other() -> None:
    table = API.split("`error_details.error_code` is one of:")[1]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == failure_codes()


def test_every_role_permission_and_status_is_documented() -> None:
    for word in (*ROLES, *ALL, *SourceStatus, *ExecutionStatus, *TaskStatus):
        assert f"`{word}`" in API, word


def configuration_keys() -> list[tuple[str, str]]:
    fields = [(model, *item) for model in CONFIGURATION_MODELS for item in model.model_fields.items()]
    return [(model.__name__, field.alias or name) for model, name, field in fields]


@pytest.mark.parametrize(("model", "key"), configuration_keys())
def test_every_configuration_key_is_documented(model: str, key: str) -> None:
    assert f"`{key}`" in PIPELINES, f"{key} of {model}"


def test_every_value_and_macro_is_documented() -> None:
    checks = CheckSpec.model_fields["check"].annotation
    values = (
        *FileFormat,
        *WriteDisposition,
        *PartitionType,
        *ChangePolicy,
        *FieldType,
        *FieldMode,
        *getattr(checks, "__args__", ()),
    )
    for value in (*values, *(f"{{{{{name}}}}}" for name in MACRO_NAMES)):
        assert f"`{value}`" in PIPELINES, value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_walk_of_the_readme_works_as_printed(stack: Stack) -> None:
    found = re.search(r"<!-- walk -->\n```bash\n(.*?)```", README, re.DOTALL)
    assert found is not None
    script = "set -eu\n" + found[1].replace("http://127.0.0.1:8000", stack.url)
    environment = stack.child_environment() | {
        "INGESTION_HOME": str(stack.home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert '"status":"SUCCESS"' in answer.stdout.replace(" ", "")
    assert '"records_processed":3' in answer.stdout.replace(" ", "")
    assert re.search(r"P7\s*│\s*7\s*│", answer.stdout)
