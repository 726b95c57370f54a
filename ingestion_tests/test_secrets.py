from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import SecretUnavailable
from ingestion.secrets import resolve_secret
from ingestion.settings import Settings
from ingestion_tests.servers.secret_manager import FakeSecretManager, secret_manager

__all__ = ["secret_manager"]

VALUE = "pa$$wörd with spaces "


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")
    settings.secrets_dir.mkdir(parents=True)
    return settings


def test_a_variable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_secret("env://DB_PASSWORD", settings, {"DB_PASSWORD": VALUE}) == VALUE
    monkeypatch.setenv("DB_PASSWORD", "of the process")
    assert resolve_secret("env://DB_PASSWORD", settings) == "of the process"


@pytest.mark.parametrize("environment", [{}, {"DB_PASSWORD": ""}, {"db_password": "x"}])
def test_a_variable_that_is_not_set(settings: Settings, environment: dict[str, str]) -> None:
    with pytest.raises(SecretUnavailable, match="variable DB_PASSWORD of the worker is not set or empty"):
        resolve_secret("env://DB_PASSWORD", settings, environment)


@pytest.mark.parametrize(
    ("content", "value"),
    [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x "), (VALUE, VALUE), ("a\nb\n", "a\nb")],
)
def test_a_file_without_its_last_line_break(settings: Settings, content: str, value: str) -> None:
    (settings.secrets_dir / "db.pass-word").write_bytes(content.encode())
    assert resolve_secret("file://db.pass-word", settings) == value


def test_a_file_as_orchestrators_mount_it(settings: Settings) -> None:
    (settings.secrets_dir / "..data").mkdir()
    (settings.secrets_dir / "..data" / "password").write_text("x")
    (settings.secrets_dir / "password").symlink_to("..data/password")
    assert resolve_secret("file://password", settings) == "x"


def test_a_file_that_leads_out_of_the_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(VALUE)
    (settings.secrets_dir / "link").symlink_to(tmp_path / "outside")
    (settings.secrets_dir / "loop").symlink_to("loop")
    with pytest.raises(SecretUnavailable, match="leads out of the folder"):
        resolve_secret("file://link", settings)
    with pytest.raises(SecretUnavailable, match="file://loop"):
        resolve_secret("file://loop", settings)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no file"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\xff" + VALUE.encode(), "not UTF-8"),
        (VALUE.encode() * 10_000, "larger than 65536 bytes"),
    ],
)
def test_a_file_that_is_no_secret(settings: Settings, content: bytes | None, reason: str) -> None:
    if content is not None:
        (settings.secrets_dir / "name").write_bytes(content)
    with pytest.raises(SecretUnavailable, match=reason) as caught:
        resolve_secret("file://name", settings)
    assert "rd with" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_is_no_secret(settings: Settings) -> None:
    (settings.secrets_dir / "name").mkdir()
    with pytest.raises(SecretUnavailable, match="there is no file"):
        resolve_secret("file://name", settings)


@pytest.mark.parametrize(("stored", "value"), [(VALUE, VALUE), (f"{VALUE}\n", VALUE), ("a\nb\n", "a\nb")])
def test_secret_manager_without_the_last_line_break(
    settings: Settings, secret_manager: FakeSecretManager, stored: str, value: str
) -> None:
    here = settings.model_copy(update={"secret_manager_endpoint": secret_manager.endpoint})
    name = secret_manager.add("projects/p/secrets/s", stored.encode())
    assert resolve_secret("projects/p/secrets/s", here) == value
    assert resolve_secret(name, here) == value


def test_bytes_of_secret_manager_that_are_no_text(settings: Settings, secret_manager: FakeSecretManager) -> None:
    here = settings.model_copy(update={"secret_manager_endpoint": secret_manager.endpoint})
    secret_manager.add("projects/p/secrets/s", b"\xffpa$$")
    with pytest.raises(
        SecretUnavailable, match="'projects/p/secrets/s' cannot be read: it is not UTF-8 text"
    ) as caught:
        resolve_secret("projects/p/secrets/s", here)
    assert "pa$$" not in str(caught.value)


@pytest.mark.parametrize("reference", ["hunter2", "", "file://../keys/private.pem", "file:///etc/passwd", "env://A B"])
def test_what_is_no_reference_is_refused_and_not_repeated(settings: Settings, reference: str) -> None:
    with pytest.raises(SecretUnavailable, match="not a secret reference") as caught:
        resolve_secret(reference, settings)
    assert not reference or reference not in str(caught.value)
