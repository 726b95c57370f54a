"""BigQuery's client as the warehouse uses it: jobs with labels and ids of their own, waited for so that a cancel
ends them, and its errors as ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingestion.errors import ExecutionFailure, TargetBusy, TargetFailed

if TYPE_CHECKING:
    from google.cloud import bigquery

    from ingestion.warehouses.bigquery.names import Names

Tick = Callable[[], None]

REQUEST_SECONDS = 60.0
"""How long one request to BigQuery is repeated while the server is away."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_TRANSIENT = frozenset(
    {
        *("backendError", "internalError", "jobBackendError", "jobInternalError", "jobRateLimitExceeded"),
        *("quotaExceeded", "rateLimitExceeded", "resourcesExceeded", "tableUnavailable", "timeout"),
    }
)
_CONFLICT = re.compile(r"concurrent (update|transaction)|transaction conflict|transaction is aborted", re.IGNORECASE)
_MARK = re.compile(r"(?<!@)@(\w+)")
_LABEL = re.compile(r"[^a-z0-9_-]")


def label(value: str) -> str:
    """`value` as BigQuery's labels may be: lower case, 63 characters."""
    return _LABEL.sub("-", value.lower())[:63]


@dataclass
class Session:
    """An open client. `tick` is called while jobs run and may raise, which cancels the job."""

    client: bigquery.Client
    project: str
    location: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tick: Tick = lambda: None

    def query(
        self, statement: str, parameters: Mapping[str, Any] | None = None, job_id: str | None = None
    ) -> tuple[list[tuple[Any, ...]], bigquery.QueryJob]:
        """The rows of a query or script's last statement, and its job. An existing `job_id`'s outcome is taken."""
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            query_parameters=_parameters(statement, parameters or {}),
            labels=dict(self.labels),
            use_query_cache=False,
        )
        with failures("a query"):
            job = self._begun(
                job_id,
                lambda: self.client.query(
                    statement, job_config=config, job_id=job_id, location=self.location, job_retry=None, **patience()
                ),
            )
            self.wait(job)
            result = job.result(job_retry=None, **patience())
            return [tuple(row.values()) for row in result], job

    def pages(self, statement: str, parameters: Mapping[str, Any], size: int = 5000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, `size` at a time."""
        from google.cloud import bigquery

        marks = _parameters(statement, parameters)
        config = bigquery.QueryJobConfig(query_parameters=marks, labels=dict(self.labels))
        job = self.client.query(statement, job_config=config, location=self.location, job_retry=None, **patience())
        self.wait(job)
        for page in job.result(page_size=size, job_retry=None, **patience()).pages:
            yield [tuple(row.values()) for row in page]

    def number(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """The one number a query answers."""
        rows, _ = self.query(statement, parameters)
        return int(rows[0][0])

    def _begun(self, job_id: str | None, begin: Callable[[], Any]) -> Any:
        from google.api_core import exceptions as google

        try:
            return begin()
        except google.Conflict:
            if job_id is None:
                raise
            return self.client.get_job(job_id, location=self.location, **patience())

    def load(
        self, uris: Sequence[str], table: bigquery.TableReference, config: bigquery.LoadJobConfig, job_id: str
    ) -> bigquery.LoadJob:
        """A finished load job. An existing job of that id is waited for and answered instead."""
        with failures(f"loading {table.dataset_id}.{table.table_id}"):
            job: bigquery.LoadJob = self._begun(
                job_id,
                lambda: self.client.load_table_from_uri(
                    list(uris), table, job_id=job_id, location=self.location, job_config=config, **patience()
                ),
            )
            self.wait(job)
            return job

    def wait_for_jobs(self, seconds: float) -> None:
        """Until no job with this session's labels runs: those of a worker that is gone go on without it.

        Raises TargetBusy after `seconds`.
        """
        deadline = time.monotonic() + seconds
        with failures("looking for running jobs"):
            for state in ("pending", "running"):
                for job in self.client.list_jobs(state_filter=state, **patience()):
                    if self.labels.items() <= (job.labels or {}).items():
                        self._wait_out(job, deadline)

    def _wait_out(self, job: Any, deadline: float) -> None:
        while job.state != "DONE":
            if time.monotonic() > deadline:
                raise TargetBusy(f"BigQuery still runs the job {job.job_id} of an earlier attempt", reason="running")
            time.sleep(_LONGEST_PAUSE_SECONDS)
            job.reload(**patience())

    def wait(self, job: Any) -> None:
        """Until the job is done, in whatever way. An error of `tick` cancels it."""
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


def _parameters(statement: str, given: Mapping[str, Any]) -> list[Any]:
    """Those of the parameters that the statement has."""
    used = set(_MARK.findall(statement))
    return [_parameter(name, value) for name, value in given.items() if name in used]


def _parameter(name: str, value: Any) -> Any:
    from google.cloud import bigquery

    if isinstance(value, list):
        return bigquery.ArrayQueryParameter(name, "STRING", value)
    kind = "BOOL" if isinstance(value, bool) else "INT64" if isinstance(value, int) else None
    kind = kind or ("FLOAT64" if isinstance(value, float) else "TIMESTAMP" if hasattr(value, "tzinfo") else "STRING")
    return bigquery.ScalarQueryParameter(name, kind, value)


def patience(seconds: float = REQUEST_SECONDS) -> dict[str, Any]:
    """Arguments that bound one request and all its repetitions."""
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    return {"timeout": min(seconds, 30.0), "retry": DEFAULT_RETRY.with_timeout(seconds)}


@contextmanager
def failures(what: str) -> Iterator[None]:
    """The client's errors as TargetFailed, or as TargetBusy where trying again may help."""
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    try:
        yield
    except (google.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, OSError) as error:
        raise failure(what, error) from error


def failure(what: str, error: Exception) -> ExecutionFailure:
    """One error of the client as ours, with BigQuery's own reason."""
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    cause = error.cause if isinstance(error, google.RetryError) and error.cause else error
    reason, text = reason_of(cause), _text(cause)
    if is_conflict(cause) or reason in _TRANSIENT or isinstance(cause, google.ServerError | google.TooManyRequests):
        return TargetBusy(f"BigQuery could not do {what} now ({reason or 'unavailable'}): {text}", reason=reason)
    if isinstance(cause, google.Forbidden):
        return TargetFailed(
            f"BigQuery does not allow {what}: {text}; grant roles/bigquery.dataEditor on the dataset, "
            "roles/bigquery.jobUser on the project and roles/storage.objectUser on the staging bucket",
            reason=reason or "accessDenied",
        )
    if isinstance(cause, google.Unauthorized | auth.RefreshError | auth.DefaultCredentialsError):
        return TargetFailed(f"BigQuery refused the Google credentials for {what}: {text}", reason="authError")
    if isinstance(cause, requests.RequestException | OSError | auth.TransportError | google.RetryError):
        return TargetBusy(f"BigQuery cannot be reached for {what}: {text}", reason="unreachable")
    return TargetFailed(f"BigQuery refused {what} ({reason or type(cause).__name__}): {text}", reason=reason)


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction wrote the same rows first: the same again will see what it did."""
    return _CONFLICT.search(str(error)) is not None


def reason_of(error: Exception) -> str:
    """BigQuery's word for an error, such as notFound, or ""."""
    errors = getattr(error, "errors", None) or ()
    return next((str(item.get("reason")) for item in errors if isinstance(item, Mapping) and item.get("reason")), "")


def _text(error: Exception) -> str:
    errors = getattr(error, "errors", None) or ()
    message = next((item.get("message") for item in errors if isinstance(item, Mapping) and item.get("message")), None)
    return str(message or getattr(error, "message", None) or error)[:2000]


def has_table(session: Session, names: Names, table: str) -> bool:
    """Whether the dataset has a table of that name."""
    from google.api_core import exceptions as google

    with failures(f"looking at {names.dataset}.{table}"):
        try:
            session.client.get_table(names.reference(table), **patience())
        except google.NotFound:
            return False
    return True
