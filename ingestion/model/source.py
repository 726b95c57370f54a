"""Sources: where data comes from. One model of `connection_details` per source type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from ingestion.model.base import StrictModel
from ingestion.model.references import REFERENCE_FORMS, SecretReference, holds_plain_secret, plain_secrets

Model = TypeVar("Model", bound=StrictModel)


class SourceType(StrEnum):
    """The contract's source types, in its order."""

    GCS = "GCS"
    CLOUD_SQL = "CLOUD_SQL"
    BIGQUERY = "BIGQUERY"
    API = "API"
    SFTP = "SFTP"
    CUSTOM = "CUSTOM"


class SourceStatus(StrEnum):
    """What is known about reaching a source; set by schema reads and executions (wire decision 32)."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class Engine(StrEnum):
    """Database engines of a CLOUD_SQL source."""

    MYSQL = "MYSQL"
    POSTGRESQL = "POSTGRESQL"


class ConnectionDetails(StrictModel):
    """Base of the per-type models."""


class GcsConnection(ConnectionDetails):
    """A bucket. `endpoint` points at an emulator or a private endpoint."""

    bucket_name: str = Field(min_length=1, max_length=222)
    file_pattern: str | None = Field(default=None, min_length=1)
    project_id: str | None = None
    endpoint: str | None = None

    @field_validator("bucket_name")
    @classmethod
    def _is_a_bucket_name(cls, name: str) -> str:
        if "/" in name or name in (".", "..") or "\0" in name:
            raise ValueError(f"{name!r} is not a bucket name: it may not contain '/' or be '.' or '..'")
        return name

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, endpoint: str | None) -> str | None:
        return _http_url(endpoint)


class DatabaseCredentials(StrictModel):
    """A database login; the password is only ever a reference."""

    username: str = Field(min_length=1)
    password_secret: SecretReference | None = None


class CloudSqlConnection(ConnectionDetails):
    """A Cloud SQL instance by name, or any PostgreSQL or MySQL server by host or unix socket."""

    instance_name: str | None = Field(default=None, min_length=1)
    database: str = Field(min_length=1)
    region: str | None = None
    project_id: str | None = None
    engine: Engine | None = None
    ip_type: Literal["PUBLIC", "PRIVATE", "PSC"] | None = None
    iam_auth: bool | None = None
    host: str | None = Field(default=None, min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    unix_socket: str | None = Field(default=None, min_length=1)
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    ssl_root_cert: str | None = None
    credentials: DatabaseCredentials | None = None

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        given = [name for name in ("instance_name", "host", "unix_socket") if getattr(self, name) is not None]
        if len(given) != 1:
            had = " and ".join(given) if given else "none of them"
            raise ValueError(f"exactly one of instance_name, host and unix_socket is needed, but {had} given")
        return self


class BigQueryConnection(ConnectionDetails):
    """A BigQuery dataset."""

    project_id: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    table: str | None = None
    location: str | None = None


class ApiConnection(ConnectionDetails):
    """A REST or GraphQL endpoint."""

    endpoint_url: str
    auth_method: Literal["none", "basic", "bearer", "api_key", "oauth2"] | None = None
    auth_config: dict[str, Any] | None = None
    headers: dict[str, str] | None = None
    pagination: dict[str, Any] | None = None
    rate_limit: float | None = Field(default=None, gt=0)
    verify_ssl: bool | None = None

    @field_validator("endpoint_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return str(_http_url(url))

    @model_validator(mode="after")
    def _holds_no_plain_secret(self) -> Self:
        return _without_plain_secrets(self, "auth_config", "headers")


class SftpConnection(ConnectionDetails):
    """An SFTP server; its host key is pinned."""

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    username: str = Field(min_length=1)
    password_secret: SecretReference | None = None
    private_key_secret: SecretReference | None = None
    host_key: str = Field(min_length=1)
    remote_path: str | None = None
    file_pattern: str | None = None

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if (self.password_secret is None) == (self.private_key_secret is None):
            raise ValueError("exactly one of password_secret and private_key_secret is needed")
        return self


class CustomConnection(ConnectionDetails):
    """A connector installed as a Python entry point."""

    connector: str = Field(min_length=1)
    config: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_no_plain_secret(self) -> Self:
        return _without_plain_secrets(self, "config")


CONNECTION_MODELS: Mapping[SourceType, type[ConnectionDetails]] = {
    SourceType.GCS: GcsConnection,
    SourceType.CLOUD_SQL: CloudSqlConnection,
    SourceType.BIGQUERY: BigQueryConnection,
    SourceType.API: ApiConnection,
    SourceType.SFTP: SftpConnection,
    SourceType.CUSTOM: CustomConnection,
}


class Source(StrictModel):
    """A stored source. `connection_details` is what the client sent, already checked by its type's model."""

    source_id: str
    name: str
    source_type: SourceType
    connection_details: dict[str, Any]
    schema_version: str
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
    created_by: str
    updated_by: str
    status: SourceStatus
    version: int = Field(ge=1, description="Raised by every update; the entity tag.")

    def connection(self) -> ConnectionDetails:
        """The connection details as their type's model."""
        return CONNECTION_MODELS[self.source_type].model_validate(self.connection_details)


def _http_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not an http:// or https:// address")
    if url is not None and holds_plain_secret(url):
        # Not repeated, for it is the secret itself.
        raise ValueError("must not carry a password or key: an address is stored and shown in plain text")
    return url


def _without_plain_secrets(model: Model, *fields: str) -> Model:
    found = [path for field in fields for path in plain_secrets({field: getattr(model, field) or {}})]
    if found:
        raise ValueError(
            f"{', '.join(found)} must be a secret reference, not a plain-text secret; "
            f"accepted forms are {REFERENCE_FORMS}"
        )
    return model
