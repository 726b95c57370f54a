"""Streams of bytes whose errors are ours and whose expansion is bounded."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from typing import Protocol

from ingestion.errors import ParseFailed, PartialFile

_EXPANSION_LIMIT = 250
_EXPANSION_FREE_BYTES = 1 << 30
_CUT_OFF = ("unexpected end of data", "Truncated", "truncated")


class ByteStream(Protocol):
    """Something that gives bytes until it gives none."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; b"" at the end."""
        ...


def is_absurd(plain: int, packed: int) -> bool:
    """Whether no real data grows so much when it is unpacked."""
    return plain > _EXPANSION_FREE_BYTES and plain > _EXPANSION_LIMIT * max(packed, 1)


class Guarded:
    """A decompressing stream whose errors are ours and whose expansion is bounded."""

    def __init__(self, stream: ByteStream, name: str, packed: int) -> None:
        self._stream = stream
        self._name = name
        self._packed = packed
        self._plain = 0

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; b"" at the end. Raises PartialFile and ParseFailed."""
        try:
            data = self._stream.read(size)
        except EOFError as error:
            raise PartialFile(f"'{self._name}' ends too early: {error}", object=self._name) from error
        except _DAMAGE as error:
            if any(words in str(error) for words in _CUT_OFF):
                raise PartialFile(f"'{self._name}' ends too early: {error}", object=self._name) from error
            raise ParseFailed(f"'{self._name}' cannot be decompressed: {error}", object=self._name) from error
        self._plain += len(data)
        if is_absurd(self._plain, self._packed):
            raise ParseFailed(f"'{self._name}' expands beyond {self._plain} bytes, which no real data does")
        return data


_DAMAGE = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, OSError)
