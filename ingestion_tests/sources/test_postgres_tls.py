"""Encrypted connections, by the modes of the source, to a real server with a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ingestion.errors import TlsFailed
from ingestion.model.connections import CloudSqlConnection
from ingestion.sources.base import ConnectorContext
from ingestion.sources.postgres import PostgresConnector
from ingestion_tests.servers.cloud_sql import Authority, key_pem, pem
from ingestion_tests.servers.postgres import SUPERUSER, PostgresServer


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[PostgresServer]:
    """A server whose certificate is for "localhost", not for its address."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = authority.signed("localhost", key.public_key(), "127.0.0.2")
    with PostgresServer(pem(certificate), key_pem(key)) as server:
        yield server


def connector(server: PostgresServer, context: ConnectorContext, **changes: Any) -> PostgresConnector:
    details = {"host": "localhost", "port": server.port, "database": "postgres", "credentials": {"username": SUPERUSER}}
    return PostgresConnector(CloudSqlConnection.model_validate(details | changes), context)


@pytest.fixture
def trusted(authority: Authority, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    path.write_bytes(pem(authority.certificate))
    return str(path)


@pytest.mark.parametrize(
    ("sslmode", "host", "message"),
    [
        ("disable", "localhost", "not encrypted"),
        ("prefer", "localhost", "encrypted; the server is not verified"),
        ("require", "localhost", "encrypted; the server's certificate is verified, its name is not"),
        ("verify-ca", "127.0.0.1", "encrypted; the server's certificate is verified, its name is not"),
        ("verify-full", "localhost", "encrypted; the server's certificate and name are verified"),
    ],
)
def test_modes(
    secure: PostgresServer, context: ConnectorContext, trusted: str, sslmode: str, host: str, message: str
) -> None:
    root = trusted if sslmode not in ("disable", "prefer") else None
    report = connector(secure, context, sslmode=sslmode, host=host, ssl_root_cert=root).check(10)
    assert report.successful, report.results
    assert {"name": "tls", "passed": True, "message": message} in report.results["checks"]


def test_a_server_of_another_authority_or_name_is_refused(
    secure: PostgresServer, context: ConnectorContext, trusted: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pem(Authority().certificate))
    refused: dict[str, dict[str, Any]] = {
        "another authority": {"sslmode": "verify-ca", "ssl_root_cert": str(other)},
        "another name": {"sslmode": "verify-full", "ssl_root_cert": trusted, "host": "127.0.0.1"},
        "no such file": {"sslmode": "verify-ca", "ssl_root_cert": str(tmp_path / "missing.pem")},
    }
    for name, changes in refused.items():
        report = connector(secure, context, **changes).check(10)
        assert (report.successful, report.results["error_code"]) == (False, "TLS_ERROR"), name
        assert report.results["checks"][-1]["name"] == "tls", name
        with pytest.raises(TlsFailed):
            connector(secure, context, **changes).describe("pg_class", 1)
