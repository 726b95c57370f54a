"""A Cloud SQL instance without Google: its Admin API and its TLS proxy, in front of a real database server."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import socket
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

PROJECT, REGION, INSTANCE = "test-project", "us-central1", "test-instance"
_PORT = 3307
_TOKEN = "token-of-the-test"


class Authority:
    """A certificate authority and the certificates it signs."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self.name, self.key.public_key(), is_authority=True)

    def signed(self, common_name: str, public_key: Any, address: str | None = None) -> x509.Certificate:
        """A certificate of a server (with its address) or of a client."""
        return self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]), public_key, address)

    def _sign(
        self, subject: x509.Name, public_key: Any, address: str | None = None, is_authority: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        usage = dict.fromkeys(
            ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_encipherment=not is_authority,
                    key_cert_sign=is_authority,
                    crl_sign=is_authority,
                    **usage,
                ),
                critical=True,
            )
        )
        if address is not None:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)), x509.DNSName("localhost")]), False
            )
        return builder.sign(self.key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """A private key as text."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class FakeCloudSql:
    """The instance PROJECT:REGION:INSTANCE in front of (host, port); use it as a context manager.

    It listens where the connector looks for it, on a loopback address of its own. `refusal` is the status its Admin
    API answers with, `logins` tells of each connection whether it came with a token for a login by IAM, and
    `address` may be set to None: the instance is somewhere else then.
    """

    def __init__(self, host: str, port: int, version: str = "POSTGRES_15") -> None:
        self._target = (host, port)
        self.version = version
        self.authority = Authority()
        self.client_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self.refusal: int | None = None
        self.shown_authority = self.authority
        self.logins: list[bool] = []
        self.open_connections = 0
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._api = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._proxy = socket.create_server((self.address, _PORT))
        self._secure = self._server_side()

    @property
    def endpoint(self) -> str:
        """The address of the Admin API."""
        return f"http://127.0.0.1:{self._api.server_port}"

    @property
    def service_account_key(self) -> str:
        """The JSON of a key whose tokens this server makes."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "1",
                "private_key": key_pem(self.client_key).decode(),
                "client_email": f"reader@{PROJECT}.iam.gserviceaccount.com",
                "token_uri": f"{self.endpoint}/token",
            }
        )

    def __enter__(self) -> Self:
        for work in (self._api.serve_forever, self._accept):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._api.shutdown()
        self._api.server_close()
        self._proxy.shutdown(socket.SHUT_RDWR)
        self._proxy.close()
        self.cut()

    def cut(self) -> None:
        """End all connections in the middle."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for opened in sockets:
            _shut(opened)

    def answer(self, path: str, body: dict[str, Any], token: str) -> tuple[int, dict[str, Any]]:
        """The Admin API's answer."""
        if path == "/token":
            return 200, {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        status = self.refusal or (200 if token == f"Bearer {_TOKEN}" else 401)
        if f"/projects/{PROJECT}/instances/{INSTANCE}" not in path:
            status = 404
        if status != 200:
            return status, {"error": {"code": status, "message": f"refused with {status}"}}
        if path.endswith("/connectSettings"):
            return 200, {
                "region": REGION,
                "databaseVersion": self.version,
                "ipAddresses": [{"type": "PRIMARY", "ipAddress": self.address}],
                "serverCaCert": {"cert": pem(self.shown_authority.certificate).decode()},
            }
        self.logins.append("access_token" in body)
        public_key = serialization.load_pem_public_key(body["public_key"].encode())
        return 200, {"ephemeralCert": {"cert": pem(self.authority.signed("client", public_key)).decode()}}

    def _server_side(self) -> ssl.SSLContext:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            chain, trusted = Path(folder, "chain"), Path(folder, "trusted")
            chain.write_bytes(key_pem(key) + pem(self.authority.signed("server", key.public_key(), self.address)))
            trusted.write_bytes(pem(self.authority.certificate))
            context.load_cert_chain(chain)
            context.load_verify_locations(trusted)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._proxy.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            secure = self._secure.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        with secure, socket.create_connection(self._target) as target:
            with self._lock:
                self._sockets += [secure, target]
                self.open_connections += 1
            back = threading.Thread(target=_carry, args=(target, secure), daemon=True)
            back.start()
            _carry(secure, target)
            back.join()
            with self._lock:
                self.open_connections -= 1


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # Whichever side ends first, the other is ended too.
        while data := source.recv(65_536):
            sink.sendall(data)
    _shut(sink)
    _shut(source)


def _shut(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)


def _handler(server: FakeCloudSql) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = "json" in (self.headers.get("Content-Type") or "")
            self._answer(json.loads(sent) if is_json else {})

        def _answer(self, body: dict[str, Any]) -> None:
            status, answer = server.answer(self.path, body, self.headers.get("Authorization") or "")
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # The client gave the request up when another was refused.
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
