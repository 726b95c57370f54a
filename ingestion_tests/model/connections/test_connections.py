from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ingestion.model.connections import CONNECTION_MODELS, GcsConnection
from ingestion.model.source import SourceType
from ingestion_tests.store.samples import a_source

SECRET = "projects/p/secrets/s"
FINGERPRINT = "SHA256:" + "A" * 43

GOOD: dict[SourceType, dict[str, Any]] = {
    SourceType.GCS: {"bucket_name": "sales-data-bucket", "file_pattern": "*.csv"},
    SourceType.CLOUD_SQL: {
        "instance_name": "customer-db-instance",
        "database": "customers",
        "region": "us-central1",
        "credentials": {"username": "db-user", "password_secret": SECRET},
    },
    SourceType.BIGQUERY: {"project_id": "p", "dataset": "d"},
    SourceType.API: {
        "endpoint_url": "https://api.example.com/data",
        "auth_method": "oauth2",
        "headers": {"Content-Type": "application/json"},
        "auth_config": {
            "client_id": "your-client-id",
            "client_secret_secret": SECRET,
            "token_url": "https://api.example.com/oauth/token",
        },
    },
    SourceType.SFTP: {"host": "h", "username": "u", "password_secret": "env://PW", "host_key": FINGERPRINT},
    SourceType.CUSTOM: {"connector": "mine", "config": {"a": 1}},
}


@pytest.mark.parametrize("source_type", SourceType)
def test_every_source_type_has_its_model(source_type: SourceType) -> None:
    connection = CONNECTION_MODELS[source_type].model_validate(GOOD[source_type])
    assert connection.given() == GOOD[source_type]
    source = a_source(source_type=source_type, connection_details=GOOD[source_type])
    assert source.connection() == connection


@pytest.mark.parametrize("source_type", SourceType)
def test_an_unknown_key_is_refused_by_every_type(source_type: SourceType) -> None:
    with pytest.raises(ValidationError, match="bucket"):
        CONNECTION_MODELS[source_type].model_validate(GOOD[source_type] | {"bucket": "x"})


@pytest.mark.parametrize(
    ("source_type", "changes", "message"),
    [
        (SourceType.GCS, {"bucket_name": "a/b"}, "not a bucket name"),
        (SourceType.GCS, {"bucket_name": ".."}, "not a bucket name"),
        (SourceType.GCS, {"bucket_name": ""}, "bucket_name"),
        (SourceType.GCS, {"endpoint": "ftp://x"}, "http://"),
        (SourceType.CLOUD_SQL, {"host": "h"}, "instance_name and host"),
        (SourceType.CLOUD_SQL, {"instance_name": None}, "none of them given"),
        (SourceType.CLOUD_SQL, {"engine": "ORACLE"}, "POSTGRESQL"),
        (SourceType.API, {"endpoint_url": "file:///etc/passwd"}, "http://"),
        (SourceType.SFTP, {"private_key_secret": SECRET}, "exactly one of password_secret"),
        (SourceType.SFTP, {"password_secret": None}, "exactly one of password_secret"),
        (SourceType.SFTP, {"host_key": ""}, "host_key"),
        (SourceType.SFTP, {"host_key": "ssh-ed25519 AAAA"}, "not a whole ssh-ed25519 key"),
        (SourceType.SFTP, {"host_key": None}, "exactly one of host_key .* and trust_any_host_key"),
        (SourceType.SFTP, {"host_key": None, "trust_any_host_key": False}, "exactly one of host_key"),
        (SourceType.SFTP, {"trust_any_host_key": True}, "exactly one of host_key"),
        (SourceType.SFTP, {"private_key_passphrase_secret": SECRET}, "only with private_key_secret"),
        (SourceType.SFTP, {"host": "sftp://h"}, "not a host"),
        (SourceType.SFTP, {"host": "u@h"}, "not a host"),
        (SourceType.SFTP, {"file_pattern": "/data/*.csv"}, "below remote_path"),
        (SourceType.SFTP, {"file_pattern": "../*.csv"}, "below remote_path"),
    ],
)
def test_connections_that_cannot_work(source_type: SourceType, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CONNECTION_MODELS[source_type].model_validate(GOOD[source_type] | changes)


@pytest.mark.parametrize(
    ("source_type", "changes"),
    [
        (SourceType.CLOUD_SQL, {"credentials": {"username": "u", "password_secret": "hunter2"}}),
        (SourceType.API, {"auth_config": {"client_secret_secret": "hunter2"}}),
        (SourceType.API, {"headers": {"Authorization": "Bearer hunter2"}}),
        (SourceType.SFTP, {"password_secret": "hunter2"}),
        (SourceType.CUSTOM, {"config": {"deep": {"api_key": "hunter2"}}}),
        (SourceType.CUSTOM, {"config": {"accounts": [{"password": "hunter2"}]}}),
        (SourceType.CUSTOM, {"config": {"tokens": ["env://GOOD", "hunter2"]}}),
    ],
)
def test_a_secret_in_plain_text_is_refused_and_not_repeated(source_type: SourceType, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must be a secret reference") as caught:
        CONNECTION_MODELS[source_type].model_validate(GOOD[source_type] | changes)
    assert all("hunter2" not in problem["msg"] for problem in caught.value.errors())


@pytest.mark.parametrize("url", ["https://me:hunter2@host/data", "https://host/data?page=1&api_key=hunter2"])
@pytest.mark.parametrize(("source_type", "field"), [(SourceType.API, "endpoint_url"), (SourceType.GCS, "endpoint")])
def test_an_address_with_a_secret_is_refused_and_not_repeated(source_type: SourceType, field: str, url: str) -> None:
    with pytest.raises(ValidationError, match="must not carry a password") as caught:
        CONNECTION_MODELS[source_type].model_validate(GOOD[source_type] | {field: url})
    assert all("hunter2" not in problem["msg"] for problem in caught.value.errors())


def test_an_address_without_a_secret_keeps_its_query() -> None:
    url = "https://me@host/data?page=1&token_url=x&api_key=env://KEY"
    assert CONNECTION_MODELS[SourceType.API].model_validate({"endpoint_url": url}).model_dump()["endpoint_url"] == url


def test_a_password_without_reference_is_an_unknown_key() -> None:
    with pytest.raises(ValidationError, match=r"credentials.password\b"):
        CONNECTION_MODELS[SourceType.CLOUD_SQL].model_validate(
            {"host": "h", "database": "d", "credentials": {"username": "u", "password": "x"}}
        )


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GcsConnection(bucket_name="b").bucket_name = "c"
