"""Every endpoint of the table asks who is there and whether they may, for each role."""

from __future__ import annotations

import pytest

from api.auth.permissions import ALL, ROLES
from api.auth.tokens import issue_token
from api.endpoint import Endpoint
from api.table import ENDPOINTS
from ingestion_tests.api.conftest import refused
from ingestion_tests.api.live import Live


def path_of(endpoint: Endpoint) -> str:
    parts = {"source_id": "none", "pipeline_id": "none", "execution_id": "none", "object_name": "x"}
    return endpoint.path.replace(":path", "").format(**parts)


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
def test_nobody_comes_in_without_a_token(endpoint: Endpoint, service: Live) -> None:
    with service.client(role=None) as client:
        answer = client.request(endpoint.method, path_of(endpoint))
        refused(answer, 401, "AUTH_ERROR", "bearer token")
        assert answer.headers["www-authenticate"] == 'Bearer realm="ingestion"'
        for wrong in ("Bearer", "Basic YTpi", "token", "Bearer a.b.c", "Bearer a b"):
            answer = client.request(endpoint.method, path_of(endpoint), headers={"Authorization": wrong})
            refused(answer, 401, "AUTH_ERROR")
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
def test_a_role_may_what_the_table_says(endpoint: Endpoint, role: str, service: Live) -> None:
    with service.client(role) as client:
        answer = client.request(endpoint.method, path_of(endpoint))
    if endpoint.permission in ROLES[role]:
        assert answer.status_code in (200, 400, 404), answer.text
    else:
        refused(answer, 403, "PERMISSION_DENIED", endpoint.permission)
        assert f'scope="{endpoint.permission}"' in answer.headers["www-authenticate"]


def test_every_permission_is_needed_somewhere() -> None:
    assert {endpoint.permission for endpoint in ENDPOINTS} == ALL


def test_an_expired_token(service: Live) -> None:
    token = issue_token(service.settings, "admin", "me@example.com", expires_in=-120)
    with service.client(role=None, headers_more={"Authorization": f"Bearer {token}"}) as client:
        refused(client.get("/sources"), 401, "AUTH_ERROR", "expired")


def test_the_token_names_who_created(service: Live) -> None:
    token = issue_token(service.settings, "data_engineer", "someone")
    body = {"name": "by someone", "source_type": "GCS", "connection_details": {"bucket_name": "b"}}
    with service.client(role=None, headers_more={"Authorization": f"Bearer {token}"}) as client:
        data = client.post("/sources", json=body).json()["data"]
    assert (data["created_by"], data["updated_by"]) == ("someone", "someone")
