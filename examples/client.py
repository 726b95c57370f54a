"""A small client of the ingestion API, over HTTP and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import httpx

BASE_PATH = "/api/v1/ingestion"
FINAL_STATUSES = ("SUCCESS", "FAILED")
POLL_SECONDS = 0.1

Json = dict[str, Any]


class ApiError(Exception):
    """The API answered with an error."""

    def __init__(self, response: httpx.Response) -> None:
        body = response.json()
        super().__init__(f"{response.request.method} {response.request.url}: {body['error']}: {body['message']}")
        self.code: str = body["error"]


class Client:
    """The endpoints the demo uses. Each answers the decoded body."""

    def __init__(self, url: str, token: str) -> None:
        self.base_url = url + BASE_PATH
        self._http = httpx.Client(base_url=self.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Json:
        """GET a path below the base address."""
        return self._answer(self._http.get(path, params=query))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """POST JSON to a path below the base address."""
        return self._answer(self._http.post(path, json=body or {}))

    def execute(self, pipeline_id: str) -> str:
        """Start an execution and answer its ID."""
        return str(self.post(f"/pipelines/{pipeline_id}/execute", {"async_execution": True})["data"]["execution_id"])

    def tasks(self, execution_id: str) -> list[Json]:
        """The execution's tasks, in order."""
        items: list[Json] = self.get(f"/executions/{execution_id}/tasks")["items"]
        return items

    def watch(self, execution_id: str, limit_seconds: float) -> Iterator[tuple[Json, list[Json]]]:
        """The execution and its tasks again and again, the last time when it is final. Raises TimeoutError."""
        deadline = time.monotonic() + limit_seconds
        while True:
            execution: Json = self.get(f"/executions/{execution_id}")["data"]
            yield execution, self.tasks(execution_id)
            if execution["status"] in FINAL_STATUSES:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"execution {execution_id} is still {execution['status']} after {limit_seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _answer(self, response: httpx.Response) -> Json:
        if response.is_error:
            raise ApiError(response)
        answer: Json = response.json()
        return answer
