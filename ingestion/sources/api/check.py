"""The connection test of an API, step by step, so that a failure says which step it was."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from ingestion.errors import (
    ExecutionFailure,
    ObjectMissing,
    QueryFailed,
    SecretUnavailable,
    SourceAuthenticationFailed,
    TlsFailed,
)
from ingestion.model.connections import ApiConnection
from ingestion.sources.api.addresses import address_of, origin
from ingestion.sources.api.client import ApiClient
from ingestion.sources.api.request import ApiRequest, resolved_headers
from ingestion.sources.base import ConnectionReport, ConnectorContext
from ingestion.sources.checks import Checks, reach_host, reach_tls

_LONGEST_WAIT = 120.0


def check_connection(connection: ApiConnection, context: ConnectorContext, timeout_seconds: float) -> ConnectionReport:
    """Take the steps until one fails or all are done, within about `timeout_seconds`."""
    checks = Checks(min(timeout_seconds, _LONGEST_WAIT))
    try:
        _reach(connection, checks)
        _ask(connection, context, checks)
    except ExecutionFailure as error:
        return checks.report({}, error)
    return checks.report({})


def _reach(connection: ApiConnection, checks: Checks) -> None:
    scheme, host, port = origin(connection.endpoint_url)
    assert port is not None
    reach_host(checks, host, port)
    if scheme != "https":
        checks.note("tls", "not encrypted: the address begins with http")
        return
    trust = ssl.create_default_context()
    if connection.verify_ssl is False:
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    reach_tls(checks, host, port, trust)


def _ask(connection: ApiConnection, context: ConnectorContext, checks: Checks) -> None:
    """Ask for the endpoint itself; a failure is noted as that of the part of asking it comes from."""
    try:
        _read(connection, context, checks)
    except ExecutionFailure as error:
        with checks.step(_step_of(error)):
            raise


def _read(connection: ApiConnection, context: ConnectorContext, checks: Checks) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="check-") as folder,
        ApiClient(connection, context, Path(folder), timeout_seconds=checks.left, retry_seconds=0) as client,
    ):
        address = address_of(connection.endpoint_url, client.resolve)
        request = ApiRequest("GET", address, resolved_headers(connection.headers or {}, client.resolve))
        method = connection.auth_method or "none"
        try:
            answer = client.fetch(request, checks.tick)
        except (ObjectMissing, QueryFailed) as error:
            # An API need not have anything at its root; that it says so proves the credentials all the same.
            if "status" not in error.facts:
                raise
            checks.note("authentication", f"{method}: not refused")
            checks.note(
                "read", f"nothing to read at endpoint_url itself ({error.facts['status']}); paths were not tried"
            )
            return
        checks.note("authentication", f"{method}: accepted" if method != "none" else "none")
        told = answer.content_type or "no content type"
        checks.note("read", f"{answer.shown} answered {answer.status} with {told}, {answer.size} bytes")
        checks.proven.add("read")


def _step_of(error: ExecutionFailure) -> str:
    """Which part of asking failed."""
    if isinstance(error, SourceAuthenticationFailed | SecretUnavailable):
        return "authentication"
    return "tls" if isinstance(error, TlsFailed) else "read"
