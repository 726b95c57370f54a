"""What every place that holds files offers: buckets, SFTP servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks

Tick = Callable[[], None]
"""Called about once a second, or more often, while a store waits or transfers; may raise to stop it (cancel)."""


def never_stop() -> None:
    """A tick for those who have nothing to stop."""


class FileStore(Protocol):
    """A place with files. Opens nothing until it is called; `close` ends what was opened.

    All methods block and raise ExecutionFailure subclasses. Those that wait take their limit in seconds.
    """

    def reach(self, checks: Checks) -> None:
        """Take the steps that come before listing, each as a named sub-check; only connection tests call this.

        The names, as far as they apply: name_resolution, tcp, tls or host_key, authentication.
        """
        ...

    def objects(self, pattern: str, timeout_seconds: float, tick: Tick = never_stop) -> list[ObjectVersion]:
        """The files whose names match the glob, by name. Raises FileMissing when the place itself is not there."""
        ...

    def expect(self, versions: Sequence[ObjectVersion]) -> None:
        """Told, after listing, which files will be fetched whole and in which order; a store may read ahead."""
        ...

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        """Copy exactly this version, or its first `limit` bytes, to `path`. Raises SourceChanged when it is gone."""
        ...

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        """Read one byte, to prove the right to read."""
        ...

    def close(self) -> None:
        """End the connection, if there is one."""
        ...
