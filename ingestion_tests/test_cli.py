from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main

from api.auth.permissions import ROLES
from api.auth.tokens import DEFAULT_LIFETIME_SECONDS
from ingestion import __version__
from ingestion.cli import Role, app
from ingestion.settings import Settings
from ingestion_tests.servers.stack import clean_environment


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ingestion", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean_environment() | environment, timeout=60)


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def flags() -> Iterable[tuple[str, Any]]:
    return [(name, flag) for name, command in commands().items() for flag in command.params]


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


@pytest.mark.parametrize(("command", "flag"), flags(), ids=lambda value: getattr(value, "name", value))
def test_every_flag_has_its_variable(command: str, flag: Any) -> None:
    assert flag.envvar == f"INGESTION_{str(flag.name).upper()}"


def test_the_commands_are_those_scripts_rely_on() -> None:
    assert set(commands()) == {"up", "api", "daemon", "code-server", "launcher", "migrate", "token", "version"}


def test_version() -> None:
    assert run("version").stdout == f"{__version__}\n"


def test_the_cheap_commands_import_neither_dagster_nor_starlette() -> None:
    imports = "import sys, ingestion.cli, ingestion.processes.up"
    script = f"{imports}; print([name for name in ('dagster', 'starlette') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_a_token_is_all_that_is_printed(tmp_path: Path) -> None:
    answer = run("token", "--home", str(tmp_path), "--role", "read_only", "--subject", "a@b.org", "--expires-in", "90")
    assert answer.returncode == 0
    assert answer.stderr == ""
    lines = answer.stdout.splitlines()
    assert len(lines) == 1
    found = claims(lines[0])
    assert (found["sub"], found["email"], found["roles"]) == ("a@b.org", "a@b.org", ["read_only"])
    assert found["exp"] - found["iat"] == 90
    assert abs(found["iat"] - time.time()) < 60


def test_flags_come_from_variables_too(tmp_path: Path) -> None:
    answer = run("token", INGESTION_HOME=str(tmp_path), INGESTION_ROLE="monitoring_user", INGESTION_SUBJECT="x@y.org")
    found = claims(answer.stdout)
    assert (found["sub"], found["roles"]) == ("x@y.org", ["monitoring_user"])
    assert found["exp"] - found["iat"] == DEFAULT_LIFETIME_SECONDS
    assert (tmp_path / "keys").is_dir()


def test_the_roles_are_those_of_the_api() -> None:
    assert get_args(Role) == tuple(ROLES)


def test_an_unknown_role_is_refused_with_the_choices(tmp_path: Path) -> None:
    answer = run("token", "--home", str(tmp_path), "--role", "king")
    assert answer.returncode == 2
    assert "'king' is not one of" in answer.stderr
    assert answer.stdout == ""


def test_no_local_token_for_an_external_issuer(tmp_path: Path) -> None:
    answer = run("token", "--home", str(tmp_path), INGESTION_AUTH_ISSUER="https://login.example.com")
    assert answer.returncode == 2
    assert "come from https://login.example.com" in answer.stderr


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("INGESTION_PORT", "70000", "INGESTION_PORT: input should be less than or equal to 65535, not '70000'"),
        ("INGESTION_WAREHOUSE", "oracle", "INGESTION_WAREHOUSE: 'oracle' is not one of 'duckdb', 'bigquery'"),
        (
            "INGESTION_SYNC_LIMIT_SECONDS",
            "-1",
            "INGESTION_SYNC_LIMIT_SECONDS: input should be greater than 0, not '-1'",
        ),
    ],
)
def test_wrong_settings_are_named(variable: str, value: str, message: str) -> None:
    answer = run("up", **{variable: value})
    assert answer.returncode == 2
    assert answer.stderr == f"ingestion: {message}\n"


def test_a_flag_wins_over_its_variable(tmp_path: Path) -> None:
    assert run("token", "--home", str(tmp_path / "flag"), INGESTION_HOME=str(tmp_path / "variable")).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["flag"]


def test_settings_survive_the_way_to_a_child() -> None:
    settings = Settings(home=Path("/somewhere"), port=0, public_url="https://x.example.com", sync_limit_seconds=2.5)
    assert Settings.from_environment(settings.to_environment()) == settings
