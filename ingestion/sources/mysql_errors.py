"""What MySQL and MariaDB answer when something does not work, as our errors."""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    ObjectMissing,
    QueryFailed,
    SourceAuthenticationFailed,
    SourcePermissionDenied,
    TimedOut,
    TlsFailed,
    TooLarge,
)

# How the system says that nothing came in time: Linux, macOS.
_TIMEOUTS = ("(110)", "error: 110", "(60)", "error: 60", "timed out")
_CONNECTION_CODES = frozenset({2002, 2003, 2006, 2013})

_KINDS: Mapping[type[ExecutionFailure], tuple[str, frozenset[int]]] = {
    SourceAuthenticationFailed: (
        "The database refused the credentials",
        frozenset({1045, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 2049, 2054, 2058, 2059, 2061, 3118, 4151}),
    ),
    SourcePermissionDenied: (
        "The database user lacks a right",
        frozenset({1044, 1142, 1143, 1227, 1345, 1370, 1410}),
    ),
    ObjectMissing: (
        "The database has no such object",
        frozenset({1049, 1051, 1054, 1109, 1146, 1305, 1356, 1630, 4031, 4161}),
    ),
    TimedOut: ("The database did not finish the query in time", frozenset({1205, 1907, 1969, 3024, 3572})),
    TlsFailed: ("The encrypted connection to the database could not be made", frozenset({2026, 2012, 3159})),
    TooLarge: ("A row is larger than the server or the client takes", frozenset({1153, 2020, 1301})),
    ConnectionFailed: (
        "The connection to the database failed",
        frozenset(
            {1040, 1042, 1043, 1053, 1129, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1203, 1213}
            | {1226, 1317, 1836, 1927, 2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2009, 2013, 2014, 2024, 2027}
            | {2055, 3169, 4150}
        ),
    ),
}


def failure_of(error: Exception, password: str | None = None) -> ExecutionFailure:
    """An error of the driver by its number, without secrets."""
    number, text = _parts(error)
    if password:
        text = text.replace(password, "***")
    if number in _CONNECTION_CODES and any(sign in text for sign in _TIMEOUTS):
        return TimedOut(f"The database server did not answer in time: {text}", errno=number)
    for kind, (said, numbers) in _KINDS.items():
        if number in numbers:
            return kind(f"{said}: {text}", errno=number)
    return QueryFailed(f"The database refused the query: {text}", errno=number)


def _parts(error: Exception) -> tuple[int, str]:
    if len(error.args) == 2 and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1])
    return 0, str(error)
