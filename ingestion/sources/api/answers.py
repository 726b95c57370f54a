"""An answer as it was received: whole, still compressed, in memory when it is small and in a file when it is not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.errors import ParseFailed, PartialFile, TooLarge
from ingestion.sources.api.addresses import Address

IN_MEMORY = 8 << 20
"""Bytes of a body, as sent or unpacked, that are held in memory at once."""
LARGEST_BODY = 16 << 30
"""Bytes of a body, as sent, beyond which it is not read."""
_EXPANSION_LIMIT = 1_000
_EXPANSION_FREE_BYTES = 256 << 20
_CHUNK = 1 << 20
_CODECS = {"gzip": "gzip", "x-gzip": "gzip", "br": "brotli", "zstd": "zstd"}

ACCEPTED_ENCODINGS = "gzip, br, zstd"


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower-case names) and body of one answer; `address` is where it came from."""

    address: Address
    shown: str
    status: int
    headers: Mapping[str, str]
    next_link: str | None
    body: bytes | Path
    size: int
    hidden: frozenset[str] = field(default_factory=frozenset, repr=False)

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; "" when none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset the content type names."""
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip('"') or None
        return None

    def small(self) -> bytes | None:
        """The whole unpacked body, or None when it is too large to be held in memory."""
        if isinstance(self.body, Path):
            return None
        if not self._encoding:
            return self.body
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > IN_MEMORY:
                return None
        return b"".join(parts)

    def chunks(self) -> Iterator[bytes]:
        """The unpacked body. Raises PartialFile when it is cut off and ParseFailed when it cannot be unpacked."""
        with _opened(self.body, self._codec()) as stream:
            size = 0
            while True:
                chunk = self._read(stream)
                if not chunk:
                    return
                size += len(chunk)
                if size > _EXPANSION_FREE_BYTES and size > _EXPANSION_LIMIT * max(self.size, 1):
                    raise TooLarge(f"{self.shown} expands beyond {size} bytes, which no real data does")
                yield chunk

    def head(self, count: int = 200) -> str:
        """The first characters, for messages, with all secrets masked."""
        try:
            data = next(self.chunks(), b"")[: count * 4]
        except (ParseFailed, PartialFile):
            data = b"" if isinstance(self.body, Path) else self.body[: count * 4]
        text = data.decode("utf-8", "replace")
        for secret in self.hidden:
            text = text.replace(secret, "***")
        text = " ".join(text.split())
        return text if len(text) <= count else f"{text[:count]}..."

    def discard(self) -> None:
        """Remove the file of a large body."""
        if isinstance(self.body, Path):
            self.body.unlink(missing_ok=True)

    @property
    def _encoding(self) -> str:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        return "" if encoding == "identity" or not self.size else encoding

    def _codec(self) -> str | None:
        encoding = self._encoding
        if encoding in ("", "deflate"):
            return encoding or None
        if encoding not in _CODECS:
            raise ParseFailed(
                f"{self.shown} is compressed as '{encoding}', which is not read; {ACCEPTED_ENCODINGS} was asked for"
            )
        return _CODECS[encoding]

    def _read(self, stream: Any) -> bytes:
        try:
            return bytes(stream.read(_CHUNK))
        except EOFError as error:
            raise PartialFile(f"The answer of {self.shown} ends too early: {error}") from error
        except (OSError, zlib.error) as error:
            is_cut = "truncated" in str(error).lower()
            what = "ends too early" if is_cut else "cannot be decompressed"
            kind = PartialFile if is_cut else ParseFailed
            raise kind(f"The answer of {self.shown} {what}: {error}") from error


def _opened(body: bytes | Path, codec: str | None) -> Any:
    import pyarrow as pa

    if codec == "deflate":
        return _Deflated(pa.OSFile(str(body)) if isinstance(body, Path) else pa.BufferReader(body))
    raw = pa.OSFile(str(body)) if isinstance(body, Path) else pa.BufferReader(body)
    return raw if codec is None else pa.CompressedInputStream(raw, codec)


class _Deflated:
    """HTTP's "deflate": with a zlib header as the standard says, or without one as some servers send it."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._inflate: Any = None

    def __enter__(self) -> _Deflated:
        return self

    def __exit__(self, *error: object) -> None:
        self._raw.close()

    def read(self, size: int) -> bytes:
        """Up to about `size` bytes; b"" at the end. Raises EOFError when the data is cut off."""
        while True:
            if self._inflate is None:
                data = self._raw.read(size)
                has_header = len(data) > 1 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
            elif self._inflate.eof:
                return b""
            else:
                data = self._inflate.unconsumed_tail or self._raw.read(size)
                if not data:
                    raise EOFError("the compressed data is cut off")
            if plain := self._inflate.decompress(data, size):
                return bytes(plain)
