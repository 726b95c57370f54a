"""A server, a login, and stores that are closed after the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ingestion.model.connections import SftpConnection
from ingestion.sources.sftp_store import SftpStore
from ingestion_tests.servers.sshd import SshServer

KEY = "env://SFTP_KEY"


class SftpSite:
    """Makes sources and stores for one server; `secrets` may be added to."""

    def __init__(self, server: SshServer) -> None:
        self.server = server
        self.secrets = {KEY: server.private_key}
        self._stores: list[SftpStore] = []

    def details(self, **changes: Any) -> SftpConnection:
        """A source that works, but for the changes."""
        given = {
            "host": "127.0.0.1",
            "port": self.server.port,
            "username": self.server.username,
            "private_key_secret": KEY,
            "host_key": self.server.host_key,
            "remote_path": str(self.server.files),
        }
        present = {name: value for name, value in (given | changes).items() if value is not None}
        return SftpConnection.model_validate(present)

    def store(self, **changes: Any) -> SftpStore:
        """A store for such a source."""
        made = SftpStore(self.details(**changes), self.secrets.__getitem__)
        self._stores.append(made)
        return made

    def close(self) -> None:
        """Close the stores."""
        for store in self._stores:
            store.close()


@pytest.fixture
def sftp(sshd: SshServer) -> Iterator[SftpSite]:
    """A site of the session's server, without files."""
    site = SftpSite(sshd)
    yield site
    site.close()
