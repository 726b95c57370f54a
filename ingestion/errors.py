"""Every error the service raises on purpose.

    IngestionError
      +- RequestError        a request that cannot be served; code is one of the API's error codes
      |    +- InvalidRequest, InvalidConfiguration, NotFound, ObjectNotInSource, AlreadyExists, ResourceInUse,
      |    +- InvalidState, AlreadyRunning, PreconditionFailed, NotAuthenticated, NotAllowed,
      |    +- SourceUnreachable, LaunchFailed, PayloadTooLarge, UnsupportedMediaType, ServiceUnavailable,
      |    +- IdempotencyKeyReused, IdempotencyKeyInUse
      +- ExecutionFailure    why an execution stopped; code is `error_details.error_code`
           +- FileMissing, ObjectMissing, EmptySource, PartialFile, SourceChanged, ParseFailed,
           +- SchemaMismatch, TooManyBadRecords, QueryFailed, SourceAuthenticationFailed,
           +- SourcePermissionDenied, ConnectionFailed, TlsFailed, HostKeyMismatch, RateLimited,
           +- PaginationLoop, TooLarge, TimedOut, SecretUnavailable (SecretUnreachable),
           +- TargetFailed, TargetBusy, QualityFailed, Cancelled, WorkerLost, AlreadyExecuting,
           +- InvalidParameters, SourceNotSupported, UnexpectedFailure

`code` names the cause, `transient` says whether the same attempt may succeed later, and the facts
given to the constructor are attributes and, together, `facts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from ingestion.model.problems import Problem, join_problems


class IngestionError(Exception):
    """Base of all errors raised on purpose. `facts` are also attributes."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.facts))


def _rebuild(cls: type[IngestionError], message: str, facts: dict[str, Any]) -> IngestionError:
    error = cls.__new__(cls)
    IngestionError.__init__(error, message, **facts)
    return error


# --- requests -----------------------------------------------------------------------------------


class RequestError(IngestionError):
    """A request that cannot be served; nothing was changed."""


class InvalidRequest(RequestError):
    """The request's own data is wrong. Carries every problem found, not only the first."""

    code = "VALIDATION_ERROR"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(problems)
        super().__init__(join_problems(self.problems), problems=self.problems)


class InvalidConfiguration(InvalidRequest):
    """A pipeline's configuration (or its use of a source) cannot work."""

    code = "INVALID_CONFIGURATION"


class NotFound(RequestError):
    """`entity` is the contract's noun: "Source system", "Pipeline" or "Pipeline execution"."""

    code = "RESOURCE_NOT_FOUND"

    def __init__(self, entity: str, entity_id: str) -> None:
        super().__init__(f"{entity} with ID '{entity_id}' not found", entity=entity, entity_id=entity_id)


class ObjectNotInSource(RequestError):
    """A source was reached, but has no table or file of that name."""

    code = "RESOURCE_NOT_FOUND"


class AlreadyExists(RequestError):
    """Another resource already has this unique value."""

    code = "RESOURCE_ALREADY_EXISTS"

    def __init__(self, entity: str, field: str, value: str) -> None:
        super().__init__(f"{entity} with {field} '{value}' already exists", entity=entity, field=field, value=value)


class ResourceInUse(RequestError):
    """The resource cannot be deleted while others depend on it."""

    code = "RESOURCE_IN_USE"


class InvalidState(RequestError):
    """The operation does not fit the resource's present state."""

    code = "INVALID_STATE"


class AlreadyRunning(RequestError):
    """The pipeline has an unfinished execution, which is named."""

    code = "PIPELINE_ALREADY_RUNNING"


class PreconditionFailed(RequestError):
    """If-Match names another version than the stored one."""

    code = "PRECONDITION_FAILED"


class IdempotencyKeyReused(RequestError):
    """The idempotency key belongs to another request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class IdempotencyKeyInUse(RequestError):
    """The request with this idempotency key has not been answered yet."""

    code = "IDEMPOTENCY_KEY_IN_USE"
    transient = True


class NotAuthenticated(RequestError):
    """No token, or one that does not verify."""

    code = "AUTH_ERROR"


class NotAllowed(RequestError):
    """A valid token without the permission the endpoint needs."""

    code = "PERMISSION_DENIED"


class SourceUnreachable(RequestError):
    """The source could not be reached for a call that has to touch it."""

    code = "CONNECTION_ERROR"
    transient = True


class LaunchFailed(RequestError):
    """The execution was accepted but its run could not be launched."""

    code = "EXECUTION_ERROR"


class PayloadTooLarge(RequestError):
    """The body is larger than the limit."""

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RequestError):
    """The body is not JSON."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class ServiceUnavailable(RequestError):
    """A part of the service that this request needs is not there at the moment."""

    code = "SERVICE_UNAVAILABLE"
    transient = True


# --- executions ---------------------------------------------------------------------------------


class ExecutionFailure(IngestionError):
    """Why an execution stopped. The target and the cursor are as they were."""

    code = "INTERNAL_ERROR"


class FileMissing(ExecutionFailure):
    """No object matches the file pattern, or the bucket does not exist."""

    code = "FILE_NOT_FOUND"


class ObjectMissing(ExecutionFailure):
    """The table, column or dataset named by the pipeline does not exist at the source."""

    code = "OBJECT_NOT_FOUND"


class EmptySource(ExecutionFailure):
    """Nothing was extracted and the pipeline does not say that this is fine."""

    code = "EMPTY_SOURCE"


class PartialFile(ExecutionFailure):
    """A file ends too early: truncated archive, missing footer."""

    code = "PARTIAL_FILE"
    transient = True


class SourceChanged(ExecutionFailure):
    """An object was replaced while it was being read."""

    code = "SOURCE_CHANGED"
    transient = True


class ParseFailed(ExecutionFailure):
    """A file as a whole cannot be read as its declared format."""

    code = "PARSE_ERROR"


class SchemaMismatch(ExecutionFailure):
    """What the source holds does not fit the declared or the target's schema."""

    code = "SCHEMA_MISMATCH"


class TooManyBadRecords(ExecutionFailure):
    """More rows were rejected than the pipeline allows."""

    code = "TOO_MANY_BAD_RECORDS"


class QueryFailed(ExecutionFailure):
    """The source refused the query."""

    code = "QUERY_ERROR"


class SourceAuthenticationFailed(ExecutionFailure):
    """The source refused the credentials."""

    code = "AUTHENTICATION_FAILED"


class SourcePermissionDenied(ExecutionFailure):
    """The credentials are good but lack a right."""

    code = "PERMISSION_DENIED"


class ConnectionFailed(ExecutionFailure):
    """The source cannot be reached, or the connection broke."""

    code = "CONNECTION_FAILED"
    transient = True


class TlsFailed(ExecutionFailure):
    """The encrypted connection could not be made."""

    code = "TLS_ERROR"


class HostKeyMismatch(ExecutionFailure):
    """The server showed another host key than the pinned one."""

    code = "HOST_KEY_MISMATCH"


class RateLimited(ExecutionFailure):
    """The source went on refusing requests as too many."""

    code = "RATE_LIMITED"
    transient = True


class PaginationLoop(ExecutionFailure):
    """A source's pages lead back to one that was already read."""

    code = "PAGINATION_LOOP"


class TooLarge(ExecutionFailure):
    """A single value, row or answer is larger than what is read."""

    code = "TOO_LARGE"


class TimedOut(ExecutionFailure):
    """The source did not answer in time."""

    code = "TIMEOUT"
    transient = True


class SecretUnavailable(ExecutionFailure):
    """A secret reference could not be resolved."""

    code = "SECRET_UNAVAILABLE"


class SecretUnreachable(SecretUnavailable):
    """The place of a secret did not answer, or not whole; later it may."""

    transient = True


class TargetFailed(ExecutionFailure):
    """The warehouse refused the load."""

    code = "TARGET_ERROR"


class TargetBusy(ExecutionFailure):
    """Another process held the warehouse for longer than we wait."""

    code = "TARGET_BUSY"
    transient = True


class QualityFailed(ExecutionFailure):
    """A quality check of severity error failed on the staged rows."""

    code = "QUALITY_FAILED"


class Cancelled(ExecutionFailure):
    """The execution was cancelled; nothing was published."""

    code = "CANCELLED"


class WorkerLost(ExecutionFailure):
    """The process that ran the execution is gone."""

    code = "WORKER_LOST"
    transient = True


class AlreadyExecuting(ExecutionFailure):
    """A run that came without a claim found the pipeline taken."""

    code = "PIPELINE_ALREADY_RUNNING"


class InvalidParameters(ExecutionFailure):
    """A run was started in Dagster with parameters that have no meaning."""

    code = "INVALID_PARAMETERS"


class SourceNotSupported(ExecutionFailure):
    """The connector is not installed, or the server is of another kind than the source says."""

    code = "SOURCE_NOT_SUPPORTED"


class UnexpectedFailure(ExecutionFailure):
    """Anything that no other class names."""

    code = "INTERNAL_ERROR"
