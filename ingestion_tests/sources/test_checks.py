"""The steps of a connection test."""

from __future__ import annotations

import socket
import ssl

import pytest

from ingestion.errors import ConnectionFailed, SourcePermissionDenied, TimedOut, TlsFailed
from ingestion.sources.checks import Checks, reach_host, reach_tls


def refuse() -> int:
    raise SourcePermissionDenied("no right")


def test_steps_prove_permissions_and_notes_do_not() -> None:
    checks = Checks(10)
    assert checks.run("list", lambda: 3, lambda found: f"{found} objects") == 3
    checks.note("read", "not tried")
    report = checks.report({"available_objects": 3})
    assert report.successful
    assert report.measurements["available_objects"] == 3
    assert isinstance(report.measurements["latency_ms"], int)
    assert report.results == {
        "permissions": ["list"],
        "missing_permissions": [],
        "checks": [
            {"name": "list", "passed": True, "message": "3 objects"},
            {"name": "read", "passed": True, "message": "not tried"},
        ],
    }


def test_a_failed_step_is_noted_and_ends_the_test() -> None:
    checks = Checks(10)
    with pytest.raises(SourcePermissionDenied) as caught:
        checks.run("read", refuse, str)
    report = checks.report({}, caught.value)
    assert not report.successful
    assert report.results["missing_permissions"] == ["read"]
    assert (report.results["error_code"], report.results["reason"]) == ("PERMISSION_DENIED", "no right")
    assert report.results["checks"] == [{"name": "read", "passed": False, "message": "no right"}]


def test_the_time_left_is_never_nothing() -> None:
    assert 9 < Checks(10).left <= 10
    assert 0 < Checks(0).left < 1


def test_names_and_ports_are_told_apart() -> None:
    checks = Checks(5)
    with pytest.raises(ConnectionFailed, match=r"'no-such-host\.invalid' cannot be resolved"):
        reach_host(checks, "no-such-host.invalid", 22)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach_host(checks, "127.0.0.1", port)
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port} cannot be reached"):
        reach_host(checks, "127.0.0.1", port)
    names = [(outcome["name"], outcome["passed"]) for outcome in checks.outcomes]
    assert names == [
        ("name_resolution", False),
        ("name_resolution", True),
        ("tcp", True),
        ("name_resolution", True),
        ("tcp", False),
    ]


def test_what_does_not_speak_tls() -> None:
    context = ssl.create_default_context()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TimedOut, match="TLS handshake"):
            reach_tls(Checks(0.2), "127.0.0.1", port, context)
    with pytest.raises(TlsFailed, match=f"127.0.0.1:{port}"):
        reach_tls(Checks(0.2), "127.0.0.1", port, context)
