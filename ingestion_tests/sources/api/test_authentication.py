"""Credentials: where they are sent, and tokens that expire."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.errors import SourceAuthenticationFailed
from ingestion_tests.servers.http_api import HttpApi, status
from ingestion_tests.sources.api.conftest import ROWS, Extracts, ids


def oauth(server: HttpApi, **more: Any) -> dict[str, Any]:
    config = {"client_id": "me", "client_secret_secret": "env://CLIENT_SECRET", "token_url": f"{server.url}/token"}
    return {"auth_method": "oauth2", "auth_config": config | more}


@pytest.mark.parametrize(
    ("details", "header", "value"),
    [
        ({"auth_method": "none"}, "Authorization", None),
        (
            {"auth_method": "basic", "auth_config": {"username": "u", "password_secret": "env://CLIENT_SECRET"}},
            "Authorization",
            "Basic dTpzM2NyZXQtdmFsdWU=",
        ),
        (
            {"auth_method": "bearer", "auth_config": {"token_secret": "env://KEY"}},
            "Authorization",
            "Bearer k3y/value+1",
        ),
        ({"auth_method": "api_key", "auth_config": {"key_secret": "env://KEY"}}, "X-API-Key", "k3y/value+1"),
        ({"headers": {"X-Token": "env://KEY", "X-Plain": "v"}}, "X-Token", "k3y/value+1"),
    ],
)
def test_credentials_go_where_they_belong(
    http_api: HttpApi, extracts: Extracts, details: Any, header: str, value: str | None
) -> None:
    assert extracts("page", details, pagination={"type": "none"}).rows == 100
    assert http_api.seen[0].headers.get(header) == value


def test_keys_in_the_query_of_every_page(http_api: HttpApi, extracts: Extracts) -> None:
    config = {"key_secret": "env://KEY", "name": "key", "location": "query"}
    extraction = extracts("next", {"auth_method": "api_key", "auth_config": config})
    assert ids(extracts.rows(extraction)) == ids(ROWS)
    assert {seen.query["key"] for seen in http_api.seen} == {"k3y/value+1"}
    assert "k3y" not in str(extraction.task_params)


@pytest.mark.parametrize("client_auth", ["client_secret_basic", "client_secret_post"])
def test_one_token_serves_all_pages(http_api: HttpApi, extracts: Extracts, client_auth: str) -> None:
    http_api.required = http_api.has_token
    extraction = extracts("page", oauth(http_api, client_auth=client_auth, scope="read", audience="x"))
    assert ids(extracts.rows(extraction)) == ids(ROWS)
    asked = http_api.asked("/token")
    assert len(asked) == 1
    assert b"grant_type=client_credentials" in asked[0].body
    assert b"scope=read&audience=x" in asked[0].body


def test_a_token_is_renewed_before_it_expires_and_once_after_a_401(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.required = http_api.has_token
    http_api.token_seconds = 0.6
    extraction = extracts("page", oauth(http_api) | {"rate_limit": 10})
    assert ids(extracts.rows(extraction)) == ids(ROWS)
    assert len(http_api.asked("/token")) > 1

    http_api.token_seconds = 3600
    http_api.scripted["/link"].append(status(401))
    assert ids(extracts.rows(extracts("link", oauth(http_api)))) == ids(ROWS)


def test_a_401_that_stays_is_told_after_one_more_token(http_api: HttpApi, extracts: Extracts) -> None:
    http_api.always["/page"] = status(401, "expired")
    with pytest.raises(SourceAuthenticationFailed, match="answered 401: expired"):
        extracts("page", oauth(http_api))
    assert len(http_api.asked("/token")) == 2


def test_a_refused_client_is_told_without_its_secret(http_api: HttpApi, extracts: Extracts) -> None:
    with pytest.raises(
        SourceAuthenticationFailed, match=r"No token: .*/token answered 401: .*invalid_client"
    ) as caught:
        extracts("page", oauth(http_api, client_secret_secret="env://WRONG"))
    assert "wr0ng" not in str(caught.value)


def test_the_contracts_own_example_works_as_printed(http_api: HttpApi, connects: Any) -> None:
    connector = connects(
        endpoint_url=f"{http_api.url}/page",
        auth_method="oauth2",
        headers={"Content-Type": "application/json"},
        auth_config={
            "client_id": "me",
            "client_secret_secret": "env://CLIENT_SECRET",
            "token_url": f"{http_api.url}/token",
        },
    )
    http_api.required = http_api.has_token
    report = connector.check(20)
    assert report.successful, report
    assert report.results["permissions"] == ["read"]
    assert [check["name"] for check in report.results["checks"]] == [
        "name_resolution",
        "tcp",
        "tls",
        "authentication",
        "read",
    ]
