"""The OpenAPI document: valid, complete, with the contract's examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import ingestion_tests.wire
from api.errors import STATUSES
from api.examples import examples
from api.openapi import openapi_document
from api.table import ENDPOINTS
from ingestion_tests.api.live import Live


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(openapi_document()))
    return found


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_it_describes_every_endpoint_and_no_other(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(endpoint.method, endpoint.path.replace(":path", "")) for endpoint in ENDPOINTS}


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
    seen = 0
    for item in document["paths"].values():
        for operation in item.values():
            parts = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (part.get("content", {}).get("application/json", {}) for part in parts):
                if "example" in content:
                    reference = {"$ref": f"urn:openapi{content['schema']['$ref']}"}
                    Draft202012Validator(reference, registry=registry).validate(content["example"])
                    seen += 1
    assert seen > 2 * len(ENDPOINTS)


def test_the_examples_are_the_contract_s(document: dict[str, Any]) -> None:
    contract = json.loads((Path(ingestion_tests.wire.__path__[0]) / "contract.json").read_text())
    added = examples().keys() - contract.keys()
    assert not contract.keys() - examples().keys()
    for heading, shown in examples().items():
        expected = contract.get(heading, shown)
        assert shown == {name: expected[name] for name in ("request", "response") if name in expected}
    assert {endpoint.summary for endpoint in ENDPOINTS} == added | contract.keys() - {"Error Handling"}
    for endpoint in ENDPOINTS:
        assert examples()[endpoint.summary]["response"]["message"] == endpoint.message
        if endpoint.summary in added:
            continue
        assert contract[endpoint.summary]["response"]["message"] == endpoint.message
        method, path = contract[endpoint.summary]["method"], contract[endpoint.summary]["path"]
        assert (method, path) == (endpoint.method, endpoint.path.replace(":path", ""))


def test_every_endpoint_tells_its_errors(document: dict[str, Any]) -> None:
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path.replace(":path", "")][endpoint.method.lower()]
        for code in ("AUTH_ERROR", "PERMISSION_DENIED", *endpoint.errors):
            assert code in operation["responses"][str(STATUSES[code])]["description"]
        assert endpoint.permission in operation["description"]


def test_posts_and_no_others_take_an_idempotency_key(document: dict[str, Any]) -> None:
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path.replace(":path", "")][endpoint.method.lower()]
        names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
        is_post = endpoint.method == "POST"
        assert ("Idempotency-Key" in names) == is_post
        assert ("Idempotent-Replayed" in operation["responses"][str(endpoint.status)]["headers"]) == is_post
        assert ("422" in operation["responses"]) == is_post
        assert ("Retry-After" in operation["responses"].get("409", {"headers": {}})["headers"]) == is_post


def test_it_is_served_without_a_token(service: Live) -> None:
    answer = httpx.get(f"{service.url}/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["servers"] == [{"url": "/api/v1/ingestion"}]
