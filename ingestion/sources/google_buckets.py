"""Buckets in Google Cloud Storage, or in a server that speaks its protocol."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from ingestion.errors import (
    ConnectionFailed,
    ExecutionFailure,
    FileMissing,
    PartialFile,
    SourceAuthenticationFailed,
    SourceChanged,
    SourcePermissionDenied,
    TimedOut,
)
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks, reach_host, reach_tls
from ingestion.sources.file_store import Tick, never_stop
from ingestion.sources.globs import compiled, literal_prefix

if TYPE_CHECKING:
    from google.cloud import storage

_TRANSFER_SECONDS = 300.0
_FIELDS = "items(name,generation,size),nextPageToken"
_GOOGLE = "https://storage.googleapis.com"
_LISTED_PER_TICK = 1000
_ANONYMOUS_PROJECT = "ingestion"


class GoogleBucket:
    """A bucket by name; with an `endpoint` it is spoken to without credentials."""

    def __init__(self, name: str, project_id: str | None, endpoint: str | None) -> None:
        self._name = name
        self._project_id = project_id
        self._endpoint = endpoint

    @cached_property
    def _client(self) -> storage.Client:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        if self._endpoint is None:
            return storage.Client(project=self._project_id)
        return storage.Client(
            project=self._project_id or _ANONYMOUS_PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self._endpoint},
        )

    def reach(self, checks: Checks) -> None:
        """Resolve, connect, shake hands and get a token; what a proxy does for us cannot be tried from here."""
        import certifi
        from requests import utils

        url = urlsplit(self._endpoint or _GOOGLE)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        if utils.get_environ_proxies(url.geturl()):
            checks.note("tcp", f"{host}:{port} is reached through a proxy")
        else:
            reach_host(checks, host, port)
            if url.scheme == "https":
                trusted = os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()
                reach_tls(checks, host, port, ssl.create_default_context(cafile=trusted))
        if self._endpoint is None:
            checks.run("authentication", self._authenticate, lambda _: "the credentials give a token")

    def _authenticate(self) -> None:
        from google.auth.transport.requests import Request

        with _errors(f"gs://{self._name}"):
            self._client._credentials.refresh(Request())

    def close(self) -> None:
        """Close the client, if it was made."""
        if "_client" in self.__dict__:
            self._client.close()
            del self._client

    def objects(self, pattern: str, timeout_seconds: float, tick: Tick = never_stop) -> list[ObjectVersion]:
        """The objects that match, by name. The glob is matched here: not every server does it."""
        matcher = compiled(pattern)
        deadline = time.monotonic() + timeout_seconds
        with _errors(f"gs://{self._name}"):
            listing = self._client.list_blobs(
                self._name, prefix=literal_prefix(pattern) or None, fields=_FIELDS, **_patience(timeout_seconds)
            )
            found: list[ObjectVersion] = []
            for number, blob in enumerate(listing):
                if number % _LISTED_PER_TICK == 0:
                    tick()
                if time.monotonic() > deadline:
                    raise TimedOut(f"gs://{self._name} was not listed within {timeout_seconds:g} s")
                if matcher.fullmatch(blob.name) and not blob.name.endswith("/"):
                    found.append(ObjectVersion(blob.name, str(blob.generation), int(blob.size or 0)))
        return sorted(found, key=lambda version: version.name)

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        """Download this generation as stored (gzip is not undone on the way); the client checks its crc32c."""
        end = None if limit is None or limit >= version.size_bytes else limit - 1
        with _errors(f"gs://{self._name}/{version.name}", version), path.open("wb") as out:
            self._blob(version).download_to_file(
                _TickingFile(out, tick), end=end, raw_download=True, **self._pinned(version, _TRANSFER_SECONDS)
            )

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        """Download one byte."""
        with _errors(f"gs://{self._name}/{version.name}", version):
            if version.size_bytes:
                blob = self._blob(version)
                blob.download_as_bytes(end=0, raw_download=True, **self._pinned(version, timeout_seconds))

    def _blob(self, version: ObjectVersion) -> storage.Blob:
        return self._client.bucket(self._name).blob(version.name, generation=int(version.generation))

    @staticmethod
    def _pinned(version: ObjectVersion, timeout_seconds: float) -> dict[str, Any]:
        return {"if_generation_match": int(version.generation), **_patience(timeout_seconds)}


class _TickingFile:
    """A file that lets the caller stop a transfer between two writes."""

    def __init__(self, out: BinaryIO, tick: Tick) -> None:
        self._out = out
        self._tick = tick

    def write(self, data: bytes) -> int:
        self._tick()
        return self._out.write(data)

    def tell(self) -> int:
        return self._out.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._out.seek(position, whence)

    def flush(self) -> None:
        self._out.flush()


def _patience(timeout_seconds: float) -> dict[str, Any]:
    """Arguments that bound both one request and all its repetitions."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": timeout_seconds, "retry": DEFAULT_RETRY.with_timeout(timeout_seconds)}


@contextmanager
def _errors(what: str, version: ObjectVersion | None = None) -> Iterator[None]:
    """The client's errors as ours. With a `version`, "not found" means that it was replaced or deleted."""
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth
    from google.cloud.storage.exceptions import DataCorruption

    try:
        yield
    except (google.NotFound, google.PreconditionFailed) as error:
        if version is not None:
            raise SourceChanged(f"{what} was replaced or deleted while it was read", object=version.name) from error
        raise FileMissing(f"The bucket {what} does not exist", bucket=what) from error
    except DataCorruption as error:
        raise PartialFile(f"{what} arrived damaged: its checksum differs") from error
    except (google.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, OSError) as error:
        raise _failure(what, error) from error


def _failure(what: str, error: Exception) -> ExecutionFailure:
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    cause = error.cause if isinstance(error, google.RetryError) else error
    if isinstance(cause, google.Forbidden):
        return SourcePermissionDenied(f"No right to read {what}: {cause.message}")
    if isinstance(cause, google.Unauthorized | auth.RefreshError | auth.DefaultCredentialsError):
        return SourceAuthenticationFailed(f"The Google credentials do not open {what}: {cause}")
    if isinstance(cause, requests.Timeout | google.GatewayTimeout | TimeoutError):
        return TimedOut(f"{what} did not answer in time")
    if isinstance(error, google.RetryError) and cause is None:
        return TimedOut(f"{what} did not answer in time")
    return ConnectionFailed(f"{what} cannot be reached: {cause}")
