"""The errors of the SSH client as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    FileMissing,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
)


@contextmanager
def sftp_errors(what: str, right: str = "read") -> Iterator[None]:
    """Raise the client's errors as failures that name `what`; `right` is what a refusal denies."""
    import asyncssh

    try:
        yield
    except (asyncssh.Error, OSError) as error:
        raise _failure(what, right, error) from error


def _failure(what: str, right: str, error: Exception) -> ExecutionFailure:
    import asyncssh

    if isinstance(error, TimeoutError):
        return TimedOut(f"{what} did not answer in time")
    if isinstance(error, asyncssh.PermissionDenied):
        return SourceAuthenticationFailed(
            f"{what} refused the login: {error.reason}; check the username, and the secret that the source refers to"
        )
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return SourcePermissionDenied(f"{what}: the server refuses the right to {right} it")
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return FileMissing(f"{what} does not exist")
    if isinstance(error, asyncssh.ChannelOpenError):
        return SourcePermissionDenied(f"{what} does not let this user in by SFTP: {error.reason}")
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return ConnectionFailed(f"{what} and this client have no common way to encrypt: {error.reason}")
    return ConnectionFailed(f"{what} cannot be reached, or the connection broke: {error or type(error).__name__}")
