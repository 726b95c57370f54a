"""Google credentials, with the real client library and a server that gives out tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth import iam
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    SecretUnavailable,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
)
from ingestion.google_credentials import google_login, has_default_credentials, login_failure
from ingestion.model.connections.google import GoogleAccess
from ingestion_tests.servers.google_tokens import (
    ACCOUNT,
    IMPERSONATED_TOKEN,
    KEY_TOKEN,
    METADATA_TOKEN,
    TokenServer,
    token_server,
)

__all__ = ["token_server"]

SECRET = "env://GOOGLE_KEY"
OWN_KEY = GoogleAccess(credentials_secret=SECRET)
OTHER = "reader@shop.iam.gserviceaccount.com"
BETWEEN = "middle@shop.iam.gserviceaccount.com"


def holding(value: str) -> Callable[[str], str]:
    """A place of secrets with one secret."""
    return {SECRET: value}.__getitem__


def token_of(access: GoogleAccess, resolve: Callable[[str], str], **options: Any) -> str:
    credentials = google_login(access, resolve, **options).credentials
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    return str(credentials.token)


def test_a_key_by_reference(token_server: TokenServer) -> None:
    login = google_login(OWN_KEY, holding(token_server.key()), "none")
    assert login.project_id == "shop"
    assert not login.is_anonymous
    assert token_of(OWN_KEY, holding(token_server.key()), default="none") == KEY_TOKEN


def test_the_file_of_the_environment(
    token_server: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(token_server.key())
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert token_of(GoogleAccess(), holding("")) == KEY_TOKEN
    with pytest.raises(SourceAuthenticationFailed, match="INGESTION_GOOGLE_CREDENTIALS is 'none'"):
        google_login(GoogleAccess(), holding(""), "none")


@pytest.mark.parametrize("content", [None, "hunter2", '{"type": "hunter2"}'])
def test_a_file_of_the_environment_that_is_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "key.json").write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(SourceAuthenticationFailed, match="credentials"):
        google_login(GoogleAccess(), holding(""))


def test_acting_as_another_account(token_server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iam, "_IAM_ENDPOINT", f"http://{token_server.address}/{{}}:generateAccessToken")
    access = GoogleAccess(
        credentials_secret=SECRET, impersonate_service_account=OTHER, impersonation_delegates=(BETWEEN,)
    )
    assert token_of(access, holding(token_server.key())) == IMPERSONATED_TOKEN
    path, body = token_server.asked[-1]
    assert path == f"/{OTHER}:generateAccessToken"
    assert body["delegates"] == [BETWEEN]


@pytest.mark.parametrize(
    ("access", "error"),
    [
        (OWN_KEY, SourceAuthenticationFailed),
        (GoogleAccess(credentials_secret=SECRET, impersonate_service_account=OTHER), SourcePermissionDenied),
    ],
)
def test_refused_identities(
    monkeypatch: pytest.MonkeyPatch, access: GoogleAccess, error: type[ExecutionFailure]
) -> None:
    with TokenServer() as server:
        monkeypatch.setattr(iam, "_IAM_ENDPOINT", f"http://{server.address}/{{}}:generateAccessToken")
        login = google_login(access, holding(server.key()))
        if access.impersonate_service_account:
            login.credentials._source_credentials.refresh(Request())  # type: ignore[attr-defined]
        server.refuses = 403
        with pytest.raises(GoogleAuthError) as caught:
            login.credentials.refresh(Request())  # type: ignore[no-untyped-call]
    told = login_failure("gs://sales", caught.value)
    assert type(told) is error
    assert "gs://sales" in told.message


def test_a_token_service_out_of_reach_may_come_back() -> None:
    with TokenServer() as server:
        key = server.key()
    with pytest.raises(GoogleAuthError) as caught:
        token_of(OWN_KEY, holding(key))
    assert isinstance(login_failure("gs://sales", caught.value), ConnectionFailed)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hunter2", "must be the JSON"),
        ('["hunter2"]', "must be the JSON"),
        ('{"type": "authorized_user", "refresh_token": "hunter2"}', "'type' must be 'service_account'"),
        ({"private_key": None}, "lacks private_key"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nhunter2\n"}, "private_key cannot be read"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(
    token_server: TokenServer, text: str | dict[str, Any], told: str
) -> None:
    given = text if isinstance(text, str) else token_server.key(**text)
    with pytest.raises(SourceAuthenticationFailed, match=told) as caught:
        google_login(OWN_KEY, holding(given))
    assert SECRET in caught.value.message
    assert "hunter2" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_secret_that_cannot_be_read_says_so() -> None:
    def unavailable(reference: str) -> str:
        raise SecretUnavailable(f"'{reference}' cannot be read")

    with pytest.raises(SecretUnavailable):
        google_login(OWN_KEY, unavailable)


@pytest.mark.parametrize(
    ("access", "endpoint", "is_anonymous"),
    [
        (GoogleAccess(), "http://127.0.0.1:4443", True),
        (GoogleAccess(), "https://storage.example.com", True),
        (OWN_KEY, "https://googleapis.com.example.com", True),
        (OWN_KEY, "http://storage.googleapis.com", True),
        (OWN_KEY, "https://storage-internal.p.googleapis.com", False),
        (OWN_KEY, "http://127.0.0.1:4443", False),
    ],
)
def test_only_google_and_this_machine_are_shown_an_identity(
    token_server: TokenServer, access: GoogleAccess, endpoint: str, is_anonymous: bool
) -> None:
    login = google_login(access, holding(token_server.key()), "none", endpoint=endpoint)
    assert login.is_anonymous == is_anonymous


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "key.json"}, True),
        ({"GCE_METADATA_HOST": "metadata:80"}, True),
        ({"K_SERVICE": "ingestion"}, True),
        ({"GCE_METADATA_HOST": "metadata:80", "NO_GCE_CHECK": "true"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
    ],
)
def test_signs_of_an_identity(tmp_path: Path, environment: dict[str, str], expected: bool) -> None:
    nowhere = tmp_path / "none"
    assert has_default_credentials("auto", environment, nowhere) == expected
    assert has_default_credentials("adc", environment, nowhere)
    assert not has_default_credentials("none", environment, nowhere)


def test_a_machine_of_google_is_known_by_its_product_name(tmp_path: Path) -> None:
    for name, expected in (("Google Compute Engine\n", True), ("Standard PC (Q35)\n", False)):
        (tmp_path / "product_name").write_text(name)
        assert has_default_credentials("auto", {}, tmp_path / "product_name") == expected
    assert not has_default_credentials("auto", {"NO_GCE_CHECK": "true"}, tmp_path / "product_name")


def test_gclouds_own_file_is_a_sign(tmp_path: Path) -> None:
    assert not has_default_credentials("auto", {"HOME": str(tmp_path)}, tmp_path / "none")
    for variable, folder in (("HOME", tmp_path / ".config" / "gcloud"), ("CLOUDSDK_CONFIG", tmp_path)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "application_default_credentials.json").write_text("{}")
        assert has_default_credentials("auto", {variable: str(tmp_path)}, tmp_path / "none")


_WITH_METADATA = """
import json
from google.auth.transport.requests import Request
from ingestion.google_credentials import google_login
from ingestion.model.connections.google import GoogleAccess
login = google_login(GoogleAccess(), str)
login.credentials.refresh(Request())
print(json.dumps([login.project_id, login.credentials.token, login.credentials.service_account_email]))
"""


def test_the_identity_of_a_machine(token_server: TokenServer, tmp_path: Path) -> None:
    # google.auth reads the variable when it is imported, so this is a process of its own.
    environment = {"GCE_METADATA_HOST": token_server.address, "GCE_METADATA_IP": token_server.address}
    ran = subprocess.run(
        [sys.executable, "-c", _WITH_METADATA],
        env={**environment, "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(ran.stdout) == ["shop", METADATA_TOKEN, ACCOUNT]
