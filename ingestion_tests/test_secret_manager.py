"""Secrets in Secret Manager, read by the real client from a gRPC server on its own types."""

from __future__ import annotations

import logging
import socket
import time

import grpc  # type: ignore[import-untyped]
import pytest

from ingestion.errors import SecretUnavailable, SecretUnreachable
from ingestion.secret_manager import read_secret
from ingestion_tests.servers.secret_manager import FakeSecretManager, secret_manager

__all__ = ["secret_manager"]

SECRET = "projects/shop/secrets/db-password"
VALUE = b"correct horse battery staple"


def test_the_latest_version_or_the_one_that_is_named(secret_manager: FakeSecretManager) -> None:
    first = secret_manager.add(SECRET, b"old")
    secret_manager.add(SECRET, VALUE)
    assert read_secret(SECRET, secret_manager.endpoint) == VALUE
    assert read_secret(first, secret_manager.endpoint) == b"old"
    assert secret_manager.asked == [f"{SECRET}/versions/latest", first]


def test_a_rotated_secret_counts_at_once(secret_manager: FakeSecretManager) -> None:
    secret_manager.add(SECRET, b"old")
    assert read_secret(SECRET, secret_manager.endpoint) == b"old"
    secret_manager.add(SECRET, b"new")
    assert read_secret(SECRET, secret_manager.endpoint) == b"new"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (grpc.StatusCode.NOT_FOUND, "no such secret or version"),
        (grpc.StatusCode.PERMISSION_DENIED, "roles/secretmanager.secretAccessor"),
        (grpc.StatusCode.UNAUTHENTICATED, "refused the credentials"),
        (grpc.StatusCode.FAILED_PRECONDITION, "is that version enabled"),
    ],
)
def test_what_stays_wrong_is_told_at_once(
    secret_manager: FakeSecretManager, status: grpc.StatusCode, told: str
) -> None:
    secret_manager.refuse(SECRET, status, "the server's own words")
    with pytest.raises(SecretUnavailable, match=told) as caught:
        read_secret(SECRET, secret_manager.endpoint)
    assert not caught.value.transient
    assert SECRET in caught.value.message
    assert len(secret_manager.asked) == 1


def test_a_server_that_recovers_is_asked_again(secret_manager: FakeSecretManager) -> None:
    secret_manager.add(SECRET, VALUE)
    secret_manager.refuse(SECRET, grpc.StatusCode.UNAVAILABLE, "restarting", failures=2)
    assert read_secret(SECRET, secret_manager.endpoint) == VALUE
    assert len(secret_manager.asked) == 3


@pytest.mark.parametrize("status", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
def test_what_may_pass_is_told_apart(secret_manager: FakeSecretManager, status: grpc.StatusCode) -> None:
    secret_manager.refuse(SECRET, status, "later")
    with pytest.raises(SecretUnreachable, match="later") as caught:
        read_secret(SECRET, secret_manager.endpoint, timeout_seconds=0.5)
    assert caught.value.transient
    assert caught.value.code == "SECRET_UNAVAILABLE"


def test_a_damaged_value_is_not_used_and_not_told(
    secret_manager: FakeSecretManager, caplog: pytest.LogCaptureFixture
) -> None:
    secret_manager.add(SECRET, VALUE)
    secret_manager.damage(SECRET)
    with caplog.at_level(logging.DEBUG), pytest.raises(SecretUnreachable, match="checksum") as caught:
        read_secret(SECRET, secret_manager.endpoint)
    assert "horse" not in caught.value.message + caplog.text


def test_an_unreachable_server_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(SecretUnreachable, match="did not answer"):
            read_secret(SECRET, f"127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=1.0)
        assert time.monotonic() - started < 10


def test_without_an_identity_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SecretUnavailable, match="INGESTION_GOOGLE_CREDENTIALS is 'none'") as caught:
        read_secret(SECRET, default="none")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.message
