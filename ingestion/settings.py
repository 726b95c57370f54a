"""Settings: read once from `INGESTION_*` variables, then passed on.

Every field is one variable: `home` is INGESTION_HOME. With none set the service runs embedded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ingestion.model.base import StrictModel

DefaultCredentials = Literal["auto", "adc", "none"]
"""The deployment's own Google identity: `auto` uses it when there are signs of one, `adc` always, `none` never."""

PREFIX = "INGESTION_"


class Settings(StrictModel):
    """How this deployment runs."""

    home: Path = Field(default=Path("~/.ingestion"), description="Folder of everything the embedded default stores.")
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on; 0 takes a free one.")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL of the store; SQLite in the home if unset."
    )
    dagster_database_url: str | None = Field(
        default=None, description="PostgreSQL URL of Dagster's storage; SQLite if unset."
    )
    dagster_url: str | None = Field(
        default=None, description="Base URL of a Dagster webserver; unset runs it inside the API."
    )
    warehouse: Literal["duckdb", "bigquery"] = Field(default="duckdb", description="Where data is loaded.")
    bigquery_project: str | None = Field(default=None, description="Project of the BigQuery warehouse.")
    bigquery_location: str | None = Field(
        default=None, description="Location of its datasets and jobs, such as EU; Google's default if unset."
    )
    bigquery_endpoint: str | None = Field(
        default=None,
        description="Address of BigQuery's REST API where it is not Google's own: an emulator's.",
    )
    bigquery_staging_bucket: str | None = Field(
        default=None, description="gs://bucket/prefix for Parquet files on their way into BigQuery."
    )
    auth_issuer: str | None = Field(default=None, description="OpenID issuer of tokens; the home's own key if unset.")
    auth_audience: str = Field(default="ingestion", description="Audience a token must name.")
    gcs_endpoint: str | None = Field(default=None, description="Address of a GCS emulator for sources that name none.")
    google_credentials: DefaultCredentials = Field(
        default="auto",
        description="Google identity of the deployment: `auto` if there is a sign of one, `adc`, `none`.",
    )
    secret_manager_endpoint: str | None = Field(
        default=None, description="Secret Manager's host:port; outside googleapis.com without TLS and credentials."
    )
    sync_limit_seconds: float = Field(default=300.0, gt=0, description="Longest wait of a synchronous execution.")
    log_url_template: str | None = Field(
        default=None, description="log_url of a task, with {dagster_run_id}, {task_id}, {execution_id}, {dag_id}."
    )
    public_url: str | None = Field(
        default=None, description="Address clients use, for links; http://host:port if unset."
    )

    @field_validator("dagster_database_url")
    @classmethod
    def _names_dagsters_driver(cls, url: str | None) -> str | None:
        """With psycopg 3, SQLAlchemy's own choice, Dagster's NOTIFY statements are refused by the server."""
        if url is None:
            return None
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg2"):
            raise ValueError("must be a PostgreSQL address: postgresql://user@host/database")
        return f"postgresql+psycopg2://{rest}"

    @field_validator("bigquery_staging_bucket")
    @classmethod
    def _is_in_a_bucket(cls, address: str | None) -> str | None:
        if address is not None and not address.removeprefix("gs://").strip("/"):
            raise ValueError("must name a bucket: gs://bucket or gs://bucket/prefix")
        if address is not None and not address.startswith("gs://"):
            raise ValueError(f"{address!r} is not in Google Cloud Storage: gs://bucket or gs://bucket/prefix is needed")
        return address

    @model_validator(mode="after")
    def _has_what_bigquery_needs(self) -> Self:
        needed = ("bigquery_project", "bigquery_staging_bucket")
        missing = [PREFIX + name.upper() for name in needed if getattr(self, name) is None]
        if self.warehouse == "bigquery" and missing:
            raise ValueError(f"the BigQuery warehouse needs {' and '.join(missing)}")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Settings from `INGESTION_*` variables. Raises pydantic's ValidationError naming what is wrong."""
        variables = os.environ if environment is None else environment
        given = {
            name: variables[PREFIX + name.upper()] for name in cls.model_fields if variables.get(PREFIX + name.upper())
        }
        return cls.model_validate(given)

    def to_environment(self) -> dict[str, str]:
        """The variables that make a child process read the same settings."""
        return {PREFIX + name.upper(): str(value) for name, value in self if value is not None}

    @property
    def home_dir(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.database_url or f"sqlite:///{self.home_dir / 'ingestion.sqlite'}"

    @property
    def buckets_dir(self) -> Path:
        """Where the embedded default keeps GCS buckets as folders."""
        return self.home_dir / "buckets"

    @property
    def warehouse_dir(self) -> Path:
        """One DuckDB file per dataset."""
        return self.home_dir / "warehouse"

    @property
    def staging_dir(self) -> Path:
        """One folder per execution."""
        return self.home_dir / "staging"

    @property
    def secrets_dir(self) -> Path:
        """Files that `file://NAME` references read."""
        return self.home_dir / "secrets"

    @property
    def keys_dir(self) -> Path:
        """The key pair that signs and verifies local tokens."""
        return self.home_dir / "keys"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of every process."""
        return self.home_dir / "dagster"

    @property
    def sockets_dir(self) -> Path:
        """Unix sockets between the processes."""
        return self.home_dir / "run"

    @property
    def logs_dir(self) -> Path:
        """One log file per process."""
        return self.home_dir / "logs"
