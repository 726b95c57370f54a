"""How an SFTP server is reached."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ingestion.model.connections.base import ConnectionDetails
from ingestion.model.references import SecretReference


class SftpConnection(ConnectionDetails):
    """An SFTP server; its host key is pinned."""

    host: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    username: str = Field(min_length=1)
    password_secret: SecretReference | None = None
    private_key_secret: SecretReference | None = None
    host_key: str = Field(min_length=1)
    remote_path: str | None = None
    file_pattern: str | None = None

    @model_validator(mode="after")
    def _has_one_credential(self) -> Self:
        if (self.password_secret is None) == (self.private_key_secret is None):
            raise ValueError("exactly one of password_secret and private_key_secret is needed")
        return self
