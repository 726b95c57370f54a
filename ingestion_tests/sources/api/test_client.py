"""Refusals, broken connections, redirects, limits: borne as long as it makes sense, then told."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion import errors
from ingestion.model.connections import ApiConnection
from ingestion.model.extraction import ApiExtraction
from ingestion.sources.api.connector import ApiConnector
from ingestion.sources.base import ConnectorContext
from ingestion_tests.servers.http_api import HttpApi, cut, document, slow, status, text
from ingestion_tests.sources.api.conftest import Extracts, ids
from ingestion_tests.sources.conftest import AT, request_for

GOOD = document([{"id": 1}])


def test_what_passes_is_asked_again(http_api: HttpApi, extracts: Extracts) -> None:
    date = format_datetime(AT + timedelta(seconds=1), usegmt=True)
    http_api.scripted["/busy"].extend(
        [cut(b"[{}]" * 99, 9), status(503), status(429, Retry_After="0"), status(429, Retry_After=date), GOOD]
    )
    assert ids(extracts.rows(extracts("busy"))) == [1]
    times = [seen.at for seen in http_api.seen]
    assert len(times) == 5
    assert times[4] - times[3] >= 0.9


@pytest.mark.parametrize(
    ("answer", "details", "failure", "words"),
    [
        (status(429, Retry_After="900"), {}, errors.RateLimited, "it asks to wait 900 s"),
        (status(429), {"retry_seconds": 1}, errors.RateLimited, r"attempts in [\d.]+ s"),
        (status(403, X_RateLimit_Remaining="0"), {"retry_seconds": 0}, errors.RateLimited, "answered 403"),
        (status(503, "maintenance"), {"retry_seconds": 0}, errors.ConnectionFailed, "answered 503: maintenance"),
        (status(504), {"retry_seconds": 0}, errors.TimedOut, "504"),
        (status(401), {}, errors.SourceAuthenticationFailed, "auth_config"),
        (status(403), {}, errors.SourcePermissionDenied, "lack a right"),
        (status(404), {}, errors.ObjectMissing, "/bad answered 404"),
        (status(400, "no such field"), {}, errors.QueryFailed, "no such field"),
        (status(204), {"endpoint_url": "http://127.0.0.1:1"}, errors.ConnectionFailed, "cannot be reached"),
        (slow(5, GOOD), {"timeout_seconds": 0.2, "retry_seconds": 0}, errors.TimedOut, "sent nothing for 0.2 s"),
        (status(302, Location="http://10.0.0.1/x"), {}, errors.QueryFailed, "another server"),
        (status(302, Location="/bad"), {}, errors.QueryFailed, "redirected more than"),
        (
            text("<html>Sign in</html>", "text/html"),
            {},
            errors.ParseFailed,
            "200 with text/html, which is not JSON: <html>",
        ),
        (text(" <!DOCTYPE html><p>"), {}, errors.ParseFailed, "not JSON"),
        (text("OK"), {}, errors.ParseFailed, "not JSON: OK"),
        (text('{"data": [1,,2]} ' + " " * 40), {}, errors.ParseFailed, "line 1"),
        (text(""), {}, errors.ParseFailed, "without a body"),
    ],
)
def test_what_does_not_pass_is_told(
    http_api: HttpApi, extracts: Extracts, answer: Any, details: Any, failure: type[Exception], words: str
) -> None:
    http_api.always["/bad"] = answer
    with pytest.raises(failure, match=words):
        extracts("bad", details)


def test_a_redirect_on_the_same_server_keeps_the_credentials(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/old"] = status(307, Location="/new?x=1")
    http_api.always["/new"] = GOOD
    auth = {"auth_method": "bearer", "auth_config": {"token_secret": "env://KEY"}}
    assert extracts("old", auth).rows == 1
    assert http_api.asked("/new")[0].headers["Authorization"] == "Bearer k3y/value+1"


def test_no_message_has_a_secret(http_api: HttpApi, extracts: Extracts) -> None:
    auth = {"auth_method": "api_key", "auth_config": {"key_secret": "env://KEY", "name": "k", "location": "query"}}
    http_api.always["/echo"] = lambda request: status(400, f"bad request: {request.rel_url} k3y/value+1")(request)
    with pytest.raises(errors.QueryFailed) as caught:
        extracts("echo", auth, params={"page_token": "p4ge", "a": "1"})
    assert http_api.seen[0].query["k"] == "k3y/value+1"
    message = str(caught.value)
    assert "k=***" in message
    assert "a=1" in message
    assert not any(word in message.partition(" answered ")[0] for word in ("k3y", "p4ge"))
    assert "k3y" not in message


def test_the_rate_is_kept(http_api: HttpApi, extracts: Extracts) -> None:
    assert (
        extracts("page", {"rate_limit": 50}, pagination={"type": "auto", "max_pages": 6, "concurrency": 8}).rows == 600
    )
    times = [seen.at for seen in http_api.seen]
    assert times[-1] - times[0] >= 5 / 50 - 0.02


@pytest.mark.parametrize("answer", [slow(60, GOOD), status(429, Retry_After="60")], ids=["slow", "retry-after"])
def test_a_cancel_is_noticed_while_waiting(http_api: HttpApi, extracts: Extracts, answer: Any) -> None:
    http_api.always["/wait"] = answer
    started = time.monotonic()

    def progress(metrics: object) -> None:
        if time.monotonic() - started > 0.5:
            raise errors.Cancelled("enough")

    with pytest.raises(errors.Cancelled):
        extracts("wait", request={"progress": progress})
    assert time.monotonic() - started < 10


def test_tls_is_checked_unless_told_otherwise(api_context: ConnectorContext, tmp_path: Path) -> None:
    with HttpApi(tls_folder=tmp_path) as server:
        server.always["/x"] = GOOD
        for verify in (True, False):
            connection = ApiConnection(endpoint_url=server.url, verify_ssl=verify, retry_seconds=0)
            folder = tmp_path / str(verify)
            folder.mkdir()
            request = request_for(ApiExtraction(path="x"), folder)
            connector = ApiConnector(connection, api_context)
            checks = {check["name"]: check["passed"] for check in connector.check(10).results["checks"]}
            assert checks["tls"] is not verify
            if verify:
                with pytest.raises(errors.TlsFailed, match="is not trusted"):
                    connector.extract(request)
            else:
                assert connector.extract(request).rows == 1
