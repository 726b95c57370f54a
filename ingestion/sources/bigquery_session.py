"""A BigQuery client that reads: query jobs with labels that a cancel ends, and its errors as ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    ObjectMissing,
    QueryFailed,
    RateLimited,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TooLarge,
)
from ingestion.google_credentials import google_login
from ingestion.model.connections import BigQueryConnection
from ingestion.sources.base import ConnectorContext

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import bigquery

_LABELS = {"ingestion": "source"}
_REQUEST_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_BUSY = frozenset({"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded", "resourcesExceeded"})


@dataclass
class Session:
    """An open client. `tick` is called while a query runs and may raise, which cancels its job."""

    client: bigquery.Client
    credentials: Credentials
    connection: BigQueryConnection
    tick: Callable[[], None] = lambda: None

    def statement_type(self, statement: str, marks: Sequence[str]) -> str:
        """What kind of statement it is, told by a dry run, which costs nothing. Raises QueryFailed for a wrong one."""
        config = self._config(marks)
        config.dry_run = True
        with failures("The query"):
            return str(self._begin(statement, config).statement_type)

    def query(self, statement: str, marks: Sequence[str] = (), maximum_bytes: int | None = None) -> bigquery.QueryJob:
        """A finished query job; `marks` are the values of its `?`."""
        config = self._config(marks)
        if maximum_bytes is not None:
            config.maximum_bytes_billed = maximum_bytes
        with failures("The query"):
            job = self._begin(statement, config)
            self._wait(job)
            job.result(job_retry=None, **patience())
            return job

    def value(self, statement: str, marks: Sequence[str] = (), maximum_bytes: int | None = None) -> Any:
        """The one value a query answers."""
        job = self.query(statement, marks, maximum_bytes)
        with failures("The query"):
            return next(iter(job.result(job_retry=None, **patience())))[0]

    def _config(self, marks: Sequence[str]) -> bigquery.QueryJobConfig:
        from google.cloud import bigquery

        return bigquery.QueryJobConfig(
            query_parameters=[bigquery.ScalarQueryParameter(None, "STRING", mark) for mark in marks],
            default_dataset=f"{self.connection.project_id}.{self.connection.dataset}",
            labels=_LABELS,
        )

    def _begin(self, statement: str, config: bigquery.QueryJobConfig) -> bigquery.QueryJob:
        return self.client.query(statement, job_config=config, job_retry=None, **patience())

    def _wait(self, job: Any) -> None:
        pause = _FIRST_PAUSE_SECONDS
        try:
            while job.state != "DONE":
                self.tick()
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
                job.reload(**patience())
        except BaseException:
            job.cancel(**patience(5.0))
            raise


@contextmanager
def session(
    connection: BigQueryConnection, context: ConnectorContext, tick: Callable[[], None] = lambda: None
) -> Iterator[Session]:
    """A client with the source's credentials, closed at the end. Raises SourceAuthenticationFailed."""
    from google.cloud import bigquery

    login = google_login(connection, context.resolve_secret, context.google_credentials, endpoint=connection.endpoint)
    client = bigquery.Client(
        project=connection.project_id,
        credentials=login.credentials,
        location=connection.location,
        client_options={"api_endpoint": connection.endpoint} if connection.endpoint else None,
    )
    try:
        yield Session(client, login.credentials, connection, tick)
    finally:
        client.close()  # type: ignore[no-untyped-call]


def patience(seconds: float = _REQUEST_SECONDS) -> dict[str, Any]:
    """Arguments that bound one request and all its repetitions."""
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    return {"timeout": min(seconds, 30.0), "retry": DEFAULT_RETRY.with_timeout(seconds)}


@contextmanager
def failures(what: str) -> Iterator[None]:
    """The client's errors as ours; `what` begins the message."""
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    try:
        yield
    except (google.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, OSError) as error:
        raise _failure(what, error) from error


def _failure(what: str, error: Exception) -> ExecutionFailure:
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    cause = error.cause if isinstance(error, google.RetryError) and error.cause else error
    details = [item for item in getattr(cause, "errors", None) or () if isinstance(item, dict)]
    reason = next((str(item["reason"]) for item in details if item.get("reason")), "")
    text = next((str(item["message"]) for item in details if item.get("message")), "") or str(cause)
    if isinstance(cause, google.NotFound):
        return ObjectMissing(f"{what}: BigQuery has no such object: {text}")
    if reason in _BUSY or isinstance(cause, google.TooManyRequests):
        return RateLimited(f"{what}: BigQuery refuses more for now ({reason}): {text}")
    if reason in ("bytesBilledLimitExceeded", "responseTooLarge"):
        return TooLarge(f"{what}: {text}")
    if isinstance(cause, google.Forbidden):
        return SourcePermissionDenied(
            f"{what}: the identity lacks a right: {text}; reading takes roles/bigquery.dataViewer on the dataset, "
            "roles/bigquery.jobUser and roles/bigquery.readSessionUser on the project"
        )
    if isinstance(cause, google.Unauthorized | auth.RefreshError | auth.DefaultCredentialsError):
        return SourceAuthenticationFailed(f"{what}: BigQuery refused the credentials: {text}")
    if isinstance(cause, google.BadRequest):
        return QueryFailed(f"{what} was refused by BigQuery: {text}", reason=reason)
    if isinstance(cause, requests.Timeout | google.DeadlineExceeded | google.RetryError | TimeoutError):
        return TimedOut(f"{what}: BigQuery did not answer in time")
    return ConnectionFailed(f"{what}: BigQuery cannot be reached: {text}")
