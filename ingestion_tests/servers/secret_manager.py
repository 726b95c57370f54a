"""A throw-away Secret Manager: a gRPC server on the client's own types."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import google_crc32c
import grpc  # type: ignore[import-untyped]
import pytest
from google.cloud.secretmanager_v1 import AccessSecretVersionRequest, AccessSecretVersionResponse, SecretPayload

_SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
_STOP_SECONDS = 2.0


class FakeSecretManager:
    """Serves AccessSecretVersion on 127.0.0.1; use it as a context manager.

    Versions are numbered from 1 in the order they are added. `refuse` makes a secret fail with a status,
    `failures` is how often it still does (None: always), and `damage` spoils the checksum of what is sent.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._values: dict[str, list[bytes]] = {}
        self._refused: dict[str, tuple[grpc.StatusCode, str]] = {}
        self._failures: dict[str, int] = {}
        self._damaged: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        self._server.add_generic_rpc_handlers((self._handler(),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def endpoint(self) -> str:
        """What INGESTION_SECRET_MANAGER_ENDPOINT is set to."""
        return f"127.0.0.1:{self.port}"

    def add(self, secret: str, value: bytes) -> str:
        """Add a version of `projects/P/secrets/S`; its full name."""
        self._values.setdefault(secret, []).append(value)
        return f"{secret}/versions/{len(self._values[secret])}"

    def refuse(self, secret: str, status: grpc.StatusCode, message: str, failures: int | None = None) -> None:
        """Answer with an error, the next `failures` times or always."""
        self._refused[secret] = (status, message)
        if failures is not None:
            self._failures[secret] = failures

    def damage(self, secret: str) -> None:
        """Send a wrong checksum with its values."""
        self._damaged.add(secret)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(grace=None).wait(_STOP_SECONDS)

    def _handler(self) -> grpc.GenericRpcHandler:
        access = grpc.unary_unary_rpc_method_handler(
            self._access,
            request_deserializer=AccessSecretVersionRequest.deserialize,
            response_serializer=AccessSecretVersionResponse.serialize,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"AccessSecretVersion": access})

    def _access(self, request: Any, context: grpc.ServicerContext) -> AccessSecretVersionResponse:
        self.asked.append(request.name)
        secret, _, version = request.name.partition("/versions/")
        if secret in self._refused and self._failures.get(secret, 1) > 0:
            if secret in self._failures:
                self._failures[secret] -= 1
            context.abort(*self._refused[secret])
        values = self._values.get(secret, [])
        number = len(values) if version == "latest" else int(version)
        if not 0 < number <= len(values):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Secret Version [{request.name}] not found.")
        data = values[number - 1]
        checksum = google_crc32c.value(data) ^ (secret in self._damaged)
        return AccessSecretVersionResponse(
            name=f"{secret}/versions/{number}", payload=SecretPayload(data=data, data_crc32c=checksum)
        )


@pytest.fixture
def secret_manager() -> Iterator[FakeSecretManager]:
    """A server without secrets."""
    with FakeSecretManager() as server:
        yield server
