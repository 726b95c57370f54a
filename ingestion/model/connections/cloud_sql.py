"""How a PostgreSQL or MySQL database is reached."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from ingestion.model.base import StrictModel
from ingestion.model.connections.base import ConnectionDetails
from ingestion.model.references import SecretReference


class Engine(StrEnum):
    """Database engines of a CLOUD_SQL source."""

    MYSQL = "MYSQL"
    POSTGRESQL = "POSTGRESQL"


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
