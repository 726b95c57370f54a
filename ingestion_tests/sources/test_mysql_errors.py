"""Error numbers of MySQL as ours, where no server here answers them."""

from __future__ import annotations

import pytest
from MySQLdb import _mysql

from ingestion.sources.mysql_errors import failure_of


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (1045, "AUTHENTICATION_FAILED"),
        (2061, "AUTHENTICATION_FAILED"),
        (1044, "PERMISSION_DENIED"),
        (1142, "PERMISSION_DENIED"),
        (1227, "PERMISSION_DENIED"),
        (1049, "OBJECT_NOT_FOUND"),
        (1054, "OBJECT_NOT_FOUND"),
        (1146, "OBJECT_NOT_FOUND"),
        (1969, "TIMEOUT"),
        (3024, "TIMEOUT"),
        (1205, "TIMEOUT"),
        (3159, "TLS_ERROR"),
        (1040, "CONNECTION_FAILED"),
        (2006, "CONNECTION_FAILED"),
        (2020, "TOO_LARGE"),
        (1064, "QUERY_ERROR"),
        (9999, "QUERY_ERROR"),
    ],
)
def test_the_number_decides(number: int, code: str) -> None:
    failure = failure_of(_mysql.OperationalError(number, "as it says"))
    assert (failure.code, failure.facts) == (code, {"errno": number})
    assert failure.message.endswith(": as it says")


def test_a_silent_server_is_a_timeout() -> None:
    text = "Lost connection to server at 'handshake: reading initial communication packet', system error: 110"
    assert failure_of(_mysql.OperationalError(2013, text)).code == "TIMEOUT"


def test_secrets_are_hidden_and_errors_without_a_number_are_told() -> None:
    assert "swordfish" not in failure_of(_mysql.OperationalError(1045, "no swordfish"), "swordfish").message
    failure = failure_of(_mysql.ProgrammingError("cannot do that"))
    assert (failure.code, "cannot do that" in failure.message) == ("QUERY_ERROR", True)
