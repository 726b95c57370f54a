"""How a PostgreSQL or MySQL database is reached."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.base import StrictModel
from ingestion.model.connections.base import ConnectionDetails, http_url
from ingestion.model.connections.google import GoogleAccess, require_tokens_stay_at_google
from ingestion.model.references import SecretReference

_OF_INSTANCES = ("ip_type", "iam_auth", "endpoint", "credentials_secret", "impersonate_service_account")


class Engine(StrEnum):
    """Database engines of a CLOUD_SQL source."""

    MYSQL = "MYSQL"
    POSTGRESQL = "POSTGRESQL"


class DatabaseCredentials(StrictModel):
    """A database login; the password is only ever a reference."""

    username: str = Field(min_length=1)
    password_secret: SecretReference | None = None


class CloudSqlConnection(ConnectionDetails, GoogleAccess):
    """A Cloud SQL instance by name, or any PostgreSQL or MySQL server by host or unix socket.

    `endpoint` is the address of the Cloud SQL Admin API where it is not the public one.
    """

    instance_name: str | None = Field(default=None, min_length=1)
    database: str = Field(min_length=1)
    region: str | None = None
    project_id: str | None = None
    engine: Engine | None = None
    ip_type: Literal["PUBLIC", "PRIVATE", "PSC"] | None = None
    iam_auth: bool | None = None
    endpoint: str | None = None
    host: str | None = Field(default=None, min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    unix_socket: str | None = Field(default=None, min_length=1)
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    ssl_root_cert: str | None = None
    credentials: DatabaseCredentials | None = None

    @property
    def lacks_region(self) -> bool:
        """Whether there is an instance that cannot be found for want of its region."""
        return self.instance_name is not None and ":" not in self.instance_name and self.region is None

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, endpoint: str | None) -> str | None:
        return http_url(endpoint)

    @model_validator(mode="after")
    def _keeps_tokens_at_google(self) -> Self:
        require_tokens_stay_at_google(self.endpoint, self)
        return self

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        given = [name for name in ("instance_name", "host", "unix_socket") if getattr(self, name) is not None]
        if len(given) != 1:
            had = " and ".join(given) if given else "none of them"
            raise ValueError(f"exactly one of instance_name, host and unix_socket is needed, but {had} given")
        return self

    @model_validator(mode="after")
    def _asks_google_about_instances_only(self) -> Self:
        without = [name for name in _OF_INSTANCES if getattr(self, name) is not None]
        if self.instance_name is None and without:
            raise ValueError(f"{' and '.join(without)} only mean something with instance_name")
        if self.iam_auth and self.credentials is None:
            raise ValueError("iam_auth needs credentials.username: the service account's or user's name at Google")
        return self
