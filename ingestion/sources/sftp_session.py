"""One connection to an SFTP server: the host key is verified first, then the user logs in."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingestion.errors import HostKeyMismatch, SourceAuthenticationFailed
from ingestion.model.connections import SftpConnection
from ingestion.model.connections.host_key import HostKey
from ingestion.model.connections.sftp import DEFAULT_PORT

if TYPE_CHECKING:
    import asyncssh

_KEEPALIVE_SECONDS = 15
_KEEPALIVES_MISSED = 3
# The fastest cipher of this client by far; what follows is its own order, for servers without it.
_CIPHERS = "^aes128-gcm@openssh.com"
# Plain keys only: a certificate would be trusted by its issuer, not because it was pinned.
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


@dataclass
class ShownKeys:
    """The keys that the server showed, each with its type, and whether the last one was accepted."""

    key_types: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    accepted: bool = False

    def add(self, key_type: str, fingerprint: str) -> None:
        """Note a key."""
        self.key_types.append(key_type)
        self.fingerprints.append(fingerprint)

    def text(self) -> str:
        """The keys as a user compares them."""
        return ", ".join(" ".join(key) for key in zip(self.key_types, self.fingerprints, strict=True))


@dataclass(frozen=True)
class Login:
    """Who logs in, with the secrets' values."""

    username: str
    password: str | None
    private_key: asyncssh.SSHKey | None


def login_of(connection: SftpConnection, resolve_secret: Callable[[str], str]) -> Login:
    """Resolve the secrets. Raises SecretUnavailable, or SourceAuthenticationFailed for what is not a private key."""
    if connection.password_secret is not None:
        return Login(connection.username, resolve_secret(connection.password_secret), None)
    reference = connection.private_key_secret
    assert reference is not None
    passphrase = connection.private_key_passphrase_secret
    key = _private_key(reference, resolve_secret(reference), passphrase and resolve_secret(passphrase))
    return Login(connection.username, None, key)


def _private_key(reference: str, text: str, passphrase: str | None) -> asyncssh.SSHKey:
    import asyncssh

    try:
        return asyncssh.import_private_key(text, passphrase)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        if isinstance(error, asyncssh.KeyEncryptionError) or "decrypt" in str(error):
            reason = f"The private key '{reference}' cannot be decrypted: the passphrase is wrong"
        elif "assphrase" in str(error):
            reason = f"The private key '{reference}' is encrypted: set private_key_passphrase_secret"
        else:
            reason = f"'{reference}' does not hold a private key in OpenSSH or PEM form: {error}"
        raise SourceAuthenticationFailed(reason) from error


def address_of(connection: SftpConnection) -> tuple[str, int]:
    """Host and port."""
    return connection.host, connection.port or DEFAULT_PORT


async def open_connection(
    connection: SftpConnection, login: Login, shown: ShownKeys, timeout_seconds: float
) -> asyncssh.SSHClientConnection:
    """Connect and log in; the key the server shows is noted in `shown`. Raises HostKeyMismatch, asyncssh's errors.

    A server has a key of each type and shows one of those that it is asked for: a fingerprint does not tell the
    type, so all are asked for, one after the other.
    """
    import asyncio

    import asyncssh

    _have_a_local_name()
    pinned = connection.pinned_key
    wanted = _in_order(pinned)
    async with asyncio.timeout(timeout_seconds):
        while True:
            try:
                return await asyncssh.connect(
                    *address_of(connection),
                    client_factory=_client_factory(pinned, shown),
                    server_host_key_algs=wanted,
                    **_options(login, timeout_seconds),
                )
            except asyncssh.HostKeyNotVerifiable as error:
                wanted = [name for name in wanted if name not in _algorithms_of(shown.key_types[-1])]
                if pinned is None or pinned.key_type is not None or not wanted:
                    raise _mismatch(connection, shown) from error
            except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionError) as error:
                # The server has no key of the types that are left: some say so, some hang up.
                if not shown.fingerprints:
                    raise
                raise _mismatch(connection, shown) from error


def _client_factory(pinned: HostKey | None, shown: ShownKeys) -> Callable[[], asyncssh.SSHClient]:
    import asyncssh

    class Client(asyncssh.SSHClient):
        """Decides about the host key."""

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            fingerprint = key.get_fingerprint()
            shown.add(key.get_algorithm(), fingerprint)
            shown.accepted = pinned is None or fingerprint == pinned.fingerprint
            return shown.accepted

    return Client


def _options(login: Login, timeout_seconds: float) -> dict[str, Any]:
    """Nothing of the account this process runs under is used: no configuration, agent, keys or known hosts."""
    by_key = login.private_key is not None
    return {
        "config": None,
        "agent_path": None,
        "known_hosts": ([], [], []),
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": [],
        "username": login.username,
        "password": login.password,
        "client_keys": [login.private_key] if by_key else None,
        "preferred_auth": ["publickey"] if by_key else ["password", "keyboard-interactive"],
        "gss_auth": False,
        "gss_kex": False,
        "encryption_algs": _CIPHERS,
        "compression_algs": None,
        "login_timeout": timeout_seconds,
        "keepalive_interval": _KEEPALIVE_SECONDS,
        "keepalive_count_max": _KEEPALIVES_MISSED,
    }


def _have_a_local_name() -> None:
    """The client asks for the local account's name, though it is not used here; in containers there may be none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "ingestion"


def _in_order(pinned: HostKey | None) -> list[str]:
    first = _algorithms_of(pinned.key_type) if pinned and pinned.key_type else ()
    return [*first, *(name for name in _HOST_KEY_ALGORITHMS if name not in first)]


def _algorithms_of(key_type: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if key_type == "ssh-rsa" else (key_type,)


def _mismatch(connection: SftpConnection, shown: ShownKeys) -> HostKeyMismatch:
    host, port = address_of(connection)
    pinned = connection.pinned_key
    assert pinned is not None
    return HostKeyMismatch(
        f"{host}:{port} is not the server that host_key names: it showed {shown.text()}, and {pinned.fingerprint} "
        f"is pinned. No secret was sent to it. If its key was changed on purpose, pin the new one in host_key",
        shown=tuple(shown.fingerprints),
        pinned=pinned.fingerprint,
    )
