"""Every success has the contract's envelope, message and fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api.endpoint import Endpoint
from api.envelope import JsonResponse, error_body, page_body, success_body, total_pages
from api.openapi import openapi_document
from api.table import ENDPOINTS
from ingestion.store import Page
from ingestion_tests.api.live import live
from ingestion_tests.api.story import Step, every_endpoint

BY_PATH: dict[tuple[str, str], Endpoint] = {(endpoint.method, endpoint.path): endpoint for endpoint in ENDPOINTS}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Step]]:
    folder: Path = tmp_path_factory.mktemp("envelope")
    with live(folder / "home") as service, service.client() as client:
        yield list(every_endpoint(service, client))


def test_the_story_tells_of_every_endpoint(steps: list[Step]) -> None:
    assert {(method, path) for method, path, _ in steps} == set(BY_PATH)


def test_every_answer_has_its_status_message_and_model(steps: list[Step]) -> None:
    for method, path, answer in steps:
        endpoint = BY_PATH[method, path]
        assert answer.status_code == endpoint.status, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert list(body)[:3] == ["status", "message", "metadata"]
        assert (body["status"], body["message"], body["metadata"]) == ("success", endpoint.message, {})
        shown = endpoint.response.model_validate_json(answer.content)
        assert shown.model_dump(mode="json", exclude_unset=True) == body


def test_every_answer_fits_the_openapi_document(steps: list[Step]) -> None:
    document = openapi_document()
    assert steps, "without answers nothing would be held against the document"
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[object] = Registry().with_resource("urn:openapi", resource)
    for method, path, answer in steps:
        operation = document["paths"][path.replace(":path", "")][method.lower()]
        schema = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({"$ref": f"urn:openapi{schema['$ref']}"}, registry=registry)
        validator.validate(answer.json())


def test_new_things_say_where_they_are(steps: list[Step]) -> None:
    for _, _, answer in steps:
        if answer.status_code in (201, 202):
            data = answer.json()["data"]
            identity = next(data[name] for name in ("execution_id", "pipeline_id", "source_id") if name in data)
            assert answer.headers["location"].endswith(identity)
            assert answer.headers["location"].startswith("http://127.0.0.1:")
        assert ("retry-after" in answer.headers) == (answer.status_code == 202)


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (20, 1), (21, 2), (10**9, 5 * 10**7)])
def test_as_many_pages_as_are_needed(total: int, pages: int) -> None:
    assert total_pages(total, 20) == pages


def test_the_shapes() -> None:
    assert success_body("done") == {"status": "success", "message": "done", "metadata": {}}
    assert success_body("done", {})["data"] == {}
    assert list(error_body("CODE", "why")) == ["status", "error", "message"]
    page = page_body("found", [{"x": 1}], Page(2, 1), 3)
    assert page["pagination"] == {"page": 2, "page_size": 1, "total_items": 3, "total_pages": 3}


def test_what_json_cannot_write_is_text() -> None:
    sent = JsonResponse({"nan": float("nan"), "endless": float("-inf"), "text": "ü"})
    assert sent.body == '{"nan":"NaN","endless":"-Infinity","text":"ü"}'.encode()
    assert sent.headers["content-type"] == "application/json"
