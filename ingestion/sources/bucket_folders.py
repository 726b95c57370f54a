"""Buckets of the embedded default: each is a folder, its files are the objects."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ingestion.errors import FileMissing, SourceChanged, SourcePermissionDenied
from ingestion.sources.base import ObjectVersion
from ingestion.sources.checks import Checks
from ingestion.sources.file_store import Tick, never_stop
from ingestion.sources.globs import compiled

_CHUNK = 1 << 20


class FolderBucket:
    """A folder as a bucket. A file's time of change, in nanoseconds, is its generation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reach(self, checks: Checks) -> None:
        """Nothing comes before listing a folder."""

    def close(self) -> None:
        """Nothing is held open."""

    def objects(self, pattern: str, timeout_seconds: float, tick: Tick = never_stop) -> list[ObjectVersion]:
        """The files that match, by name. Raises SourcePermissionDenied for a link that leaves the bucket."""
        root = self._root()
        matcher = compiled(pattern)
        found: list[ObjectVersion] = []
        for parent, _, names in os.walk(root, onerror=_refuse):
            tick()
            for name in names:
                path = Path(parent, name)
                object_name = path.relative_to(root).as_posix()
                if matcher.fullmatch(object_name):
                    found.append(self._version(path, object_name, root))
        return sorted(found, key=lambda version: version.name)

    def expect(self, versions: Sequence[ObjectVersion]) -> None:
        """A folder is near: nothing is gained by reading ahead."""

    def fetch(self, version: ObjectVersion, path: Path, tick: Tick, limit: int | None = None) -> None:
        """Copy the file; it must be the listed version before and after."""
        root = self._root()
        source = root / version.name
        self._require(version, source, root)
        left = version.size_bytes if limit is None else min(limit, version.size_bytes)
        with self._opened(version) as stream, path.open("wb") as out:
            if limit is None and left <= _CHUNK:
                shutil.copyfileobj(stream, out)
            else:
                while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
                    out.write(chunk)
                    left -= len(chunk)
                    tick()
        self._require(version, source, root)

    def probe(self, version: ObjectVersion, timeout_seconds: float) -> None:
        """Open the file and read a byte."""
        with self._opened(version) as stream:
            stream.read(1)

    def _opened(self, version: ObjectVersion) -> BinaryIO:
        try:
            return (self._root() / version.name).open("rb")
        except FileNotFoundError as error:
            raise SourceChanged(f"The object '{version.name}' was deleted", object=version.name) from error
        except PermissionError as error:
            raise SourcePermissionDenied(f"No right to read '{version.name}' in {self._folder}") from error

    def _root(self) -> Path:
        try:
            is_there = self._folder.is_dir()
        except PermissionError as error:
            raise SourcePermissionDenied(f"No right to enter the bucket {self._folder}") from error
        if not is_there:
            raise FileMissing(
                f"The bucket '{self._folder.name}' does not exist: without Google credentials a bucket is a folder, "
                f"and there is no folder {self._folder}. Create it, or set GOOGLE_APPLICATION_CREDENTIALS to read "
                f"from Google Cloud Storage, or the source's 'endpoint' to read from another server",
                bucket=self._folder.name,
                folder=str(self._folder),
            )
        return self._folder.resolve()

    def _version(self, path: Path, name: str, root: Path) -> ObjectVersion:
        try:
            real = path.resolve()
        except RuntimeError as error:
            raise SourcePermissionDenied(f"The object '{name}' is a link to itself", object=name) from error
        if not real.is_relative_to(root):
            raise SourcePermissionDenied(f"The object '{name}' is a link to a place outside its bucket", object=name)
        try:
            facts = real.stat()
        except FileNotFoundError as error:
            raise SourceChanged(f"The object '{name}' vanished while the bucket was listed", object=name) from error
        if not stat.S_ISREG(facts.st_mode):  # To open a pipe is to wait for its writer.
            raise SourcePermissionDenied(f"The object '{name}' is not a file", object=name)
        return ObjectVersion(name, str(facts.st_mtime_ns), facts.st_size)

    def _require(self, version: ObjectVersion, path: Path, root: Path) -> None:
        if not path.exists() or self._version(path, version.name, root) != version:
            raise SourceChanged(f"The object '{version.name}' was changed while it was read", object=version.name)


def _refuse(error: OSError) -> None:
    raise SourcePermissionDenied(f"No right to list the bucket: {error}") from error
