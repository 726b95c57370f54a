"""Buckets in Google Cloud Storage, or in a server that speaks its protocol."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingestion.errors import PartialFile, TimedOut
from ingestion.google_credentials import GoogleLogin
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks, reach_host, reach_tls
from ingestion.sources.file_store import Tick, never_stop
from ingestion.sources.globs import compiled, literal_prefix
from ingestion.sources.google_ahead import ReadAhead
from ingestion.sources.google_failures import may_pass, storage_failures
from ingestion.sources.google_transfers import Answers, Transfer, require_checksum
from ingestion.sources.watching import Watching

if TYPE_CHECKING:
    from google.cloud import storage

GOOGLE = "https://storage.googleapis.com"
_FIELDS = "items(name,generation,size,crc32c),nextPageToken"
_REPEAT_SECONDS = 30.0
_GIVE_UP_SECONDS = 1.0  # A thread that waits for the head of an answer cannot be interrupted; it ends at its time-out.


class GoogleBucket:
    """A bucket by name, through a client that `open_client` makes at the first use. `endpoint` is where that goes."""

    def __init__(self, name: str, open_client: Callable[[], storage.Client], endpoint: str | None = None) -> None:
        self._name = name
        self._open_client = open_client
        self._endpoint = endpoint or GOOGLE
        self._checksums: dict[ObjectVersion, str] = {}
        self._ahead: ReadAhead | None = None

    @cached_property
    def _client(self) -> storage.Client:
        with storage_failures(self._place):
            return self._open_client()

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self._client)

    def reach(self, checks: Checks) -> None:
        """Find and connect to the server, and get a token for it."""
        _reach_server(checks, self._endpoint)
        checks.run("authentication", lambda: self._authenticate(checks.left), str)

    def objects(self, pattern: str, timeout_seconds: float, tick: Tick = never_stop) -> list[ObjectVersion]:
        """The objects that match, by name. The glob is matched here: not every server does it."""
        watching = Watching(tick, _GIVE_UP_SECONDS)
        with watching.interrupting(self._answers.interrupt), storage_failures(self._place):
            (found,) = watching.run(lambda: list(self._matching(pattern, timeout_seconds, watching)))
        return sorted(found, key=lambda version: version.name)

    def expect(self, versions: Sequence[ObjectVersion]) -> None:
        """Read the small ones of `versions` ahead: they will be fetched, in this order."""
        self._ahead = ReadAhead(versions, self._content)

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        """Download this generation as it is stored (gzip is not undone on the way) and check its crc32c."""
        if limit is None and self._ahead is not None and (content := self._ahead.take(version, tick)) is not None:
            path.write_bytes(content)
            require_checksum(path, version.name, self._checksums.get(version), tick)
            return
        is_cut = limit is not None and limit < version.size_bytes
        size = version.size_bytes if limit is None else min(limit, version.size_bytes)
        watching = Watching(tick, _GIVE_UP_SECONDS)
        with watching.interrupting(self._answers.interrupt), storage_failures(self._path_of(version), version):
            Transfer(self._blob(version), path, size, watching).run()
        require_checksum(path, version.name, None if is_cut else self._checksums.get(version), tick)

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        """Download one byte."""
        if version.size_bytes:
            with storage_failures(self._path_of(version), version):
                self._download(version, timeout_seconds, end=0)

    def close(self) -> None:
        """Close the client's connections, those in use too."""
        if self._ahead is not None:
            self._ahead.close()
        if "_answers" in self.__dict__:
            self._answers.interrupt(True)
        if "_client" in self.__dict__:
            self._client.close()

    @property
    def _place(self) -> str:
        return f"gs://{self._name}"

    def _path_of(self, version: ObjectVersion) -> str:
        return f"{self._place}/{version.name}"

    def _matching(self, pattern: str, timeout_seconds: float, watching: Watching) -> Iterator[ObjectVersion]:
        matcher = compiled(pattern)
        prefix = literal_prefix(pattern)
        deadline = time.monotonic() + timeout_seconds
        listing = self._client.list_blobs(
            self._name,
            prefix=prefix or None,
            delimiter="/" if _stays_in_folder(pattern[len(prefix) :]) else None,
            fields=_FIELDS,
            **_patience(timeout_seconds),
        )
        for page in listing.pages:
            watching.check()
            if time.monotonic() > deadline:
                raise TimedOut(f"{self._place} was not listed within {timeout_seconds:g} s")
            for blob in page:
                if matcher.fullmatch(blob.name) and not blob.name.endswith("/"):
                    version = ObjectVersion(blob.name, str(blob.generation), int(blob.size or 0))
                    if blob.crc32c:
                        self._checksums[version] = blob.crc32c
                    yield version

    def _content(self, version: ObjectVersion) -> bytes:
        with storage_failures(self._path_of(version), version):
            content = self._download(version, _REPEAT_SECONDS)
        if len(content) != version.size_bytes:
            raise PartialFile(
                f"'{version.name}' came with {len(content)} bytes where {version.size_bytes} were listed",
                object=version.name,
            )
        return content

    def _download(self, version: ObjectVersion, timeout_seconds: float, end: int | None = None) -> bytes:
        """Few bytes, with repetitions from their beginning."""
        out = io.BytesIO()
        self._blob(version).download_to_file(
            out,
            end=end,
            raw_download=True,
            if_generation_match=int(version.generation),
            checksum=None,
            **_patience(timeout_seconds),
        )
        return out.getvalue()

    def _blob(self, version: ObjectVersion) -> storage.Blob:
        return self._client.bucket(self._name).blob(version.name, generation=int(version.generation))

    def _authenticate(self, timeout_seconds: float) -> str:
        from google.auth.credentials import AnonymousCredentials
        from google.auth.transport.requests import Request

        credentials = self._client._credentials
        if isinstance(credentials, AnonymousCredentials):
            return "without credentials"
        with storage_failures(self._place):
            credentials.refresh(partial(Request(), timeout=timeout_seconds))
        return f"a token for {getattr(credentials, 'service_account_email', None) or 'the default identity'}"


def storage_client(login: GoogleLogin, project_id: str | None, endpoint: str | None) -> storage.Client:
    """A client of Google Cloud Storage, or of the server at `endpoint`."""
    from google.cloud import storage

    client = storage.Client(
        project=project_id or login.project_id,
        credentials=login.credentials,
        # Named always: the client itself would go where STORAGE_EMULATOR_HOST points, with credentials.
        client_options={"api_endpoint": endpoint or GOOGLE},
    )
    # It would ask for the bucket's metadata, a right of its own, in a thread of its own, to tell traces about it.
    client._bucket_metadata_cache = None
    return client


def _reach_server(checks: Checks, endpoint: str) -> None:
    from urllib.request import getproxies, proxy_bypass

    address = urlsplit(endpoint)
    scheme, host = address.scheme, address.hostname or ""
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host):
        checks.note("tcp", f"{host} is reached through the proxy of this machine")
        return
    number = address.port or (443 if scheme == "https" else 80)
    reach_host(checks, host, number)
    if scheme == "https":
        import ssl

        import certifi

        reach_tls(checks, host, number, ssl.create_default_context(cafile=certifi.where()))


def _stays_in_folder(rest: str) -> bool:
    """Whether no match of this end of a pattern has a further `/`, so that folders need not be listed."""
    return "/" not in rest and "**" not in rest


def _patience(timeout_seconds: float) -> dict[str, Any]:
    """Arguments that bound both one request and all its repetitions."""
    from google.api_core.retry import Retry

    retry = Retry(predicate=may_pass, initial=0.2, maximum=4.0, timeout=min(timeout_seconds, _REPEAT_SECONDS))
    return {"timeout": min(timeout_seconds, _REPEAT_SECONDS), "retry": retry}
