"""What the client raises, and what is told."""

from __future__ import annotations

import asyncssh
import pytest

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    FileMissing,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
)
from ingestion.sources.sftp_errors import sftp_errors


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TimeoutError(), TimedOut),
        (ConnectionResetError("reset"), ConnectionFailed),
        (asyncssh.ConnectionLost("lost"), ConnectionFailed),
        (asyncssh.SFTPConnectionLost("lost"), ConnectionFailed),
        (asyncssh.SFTPFailure("disk"), ConnectionFailed),
        (asyncssh.KeyExchangeFailed("no cipher"), ConnectionFailed),
        (asyncssh.PermissionDenied("no"), SourceAuthenticationFailed),
        (asyncssh.SFTPPermissionDenied("no"), SourcePermissionDenied),
        (asyncssh.ChannelOpenError(1, "no sftp"), SourcePermissionDenied),
        (asyncssh.SFTPNoSuchFile("gone"), FileMissing),
    ],
)
def test_every_error_has_its_failure(error: Exception, failure: type[ExecutionFailure]) -> None:
    with pytest.raises(ExecutionFailure, match=r"'a\.csv' on h:22") as caught, sftp_errors("'a.csv' on h:22"):
        raise error
    assert type(caught.value) is failure
    assert caught.value.__cause__ is error


def test_what_is_not_the_clients_passes() -> None:
    with pytest.raises(KeyError), sftp_errors("x"):
        raise KeyError("bug")
