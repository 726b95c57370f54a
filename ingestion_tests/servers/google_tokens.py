"""A stand-in for what gives out Google's tokens: the token endpoint of a key, a metadata server, impersonation."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ACCOUNT = "loader@shop.iam.gserviceaccount.com"
KEY_TOKEN, METADATA_TOKEN, IMPERSONATED_TOKEN = "of-the-key", "of-the-machine", "of-the-other"
_EXPIRY = "2099-01-01T00:00:00Z"


class TokenServer:
    """Gives out tokens on 127.0.0.1; use it as a context manager. `refuses`: the status of all answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refuses: int | None = None
        self._private_key = _new_key()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def address(self) -> str:
        """What GCE_METADATA_HOST is set to."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def key(self, **changes: Any) -> str:
        """The JSON of a service account key whose tokens come from here; None takes a field away."""
        fields = {
            "type": "service_account",
            "project_id": "shop",
            "private_key_id": "1",
            "private_key": self._private_key,
            "client_email": ACCOUNT,
            "token_uri": f"http://{self.address}/token",
            **changes,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The status and the body of an answer."""
        self.asked.append((path, body))
        if self.refuses is not None:
            return self.refuses, {"error": "refused", "error_description": "by the server", "message": "refused"}
        if path == "/token":
            return 200, {"access_token": KEY_TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if path.endswith(":generateAccessToken"):
            return 200, {"accessToken": IMPERSONATED_TOKEN, "expireTime": _EXPIRY}
        if path.endswith("/token"):
            return 200, {"access_token": METADATA_TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if path.startswith("/computeMetadata/v1/instance/service-accounts/"):
            return 200, {"email": ACCOUNT, "scopes": [], "aliases": ["default"]}
        if path.endswith("/project/project-id"):
            return 200, "shop"
        return (200, "") if path == "/" else (404, "")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(json.loads(text) if text.startswith("{") else dict(parse_qs(text)))

            def _answer(self, body: dict[str, Any]) -> None:
                status, answer = server.answer(self.path.partition("?")[0], body)
                data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep the tests' output quiet."""

        return Handler


def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def token_server() -> Iterator[TokenServer]:
    """One server for a module; what it was asked accumulates."""
    with TokenServer() as server:
        yield server
