"""Avro container files cut into blocks: framed, checked and decompressed here, decoded elsewhere.

So a file is read as a stream in bounded memory, and whatever is wrong has the byte at which it is.
"""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingestion.errors import ParseFailed, PartialFile, TooLarge
from ingestion.formats.guarded import ByteStream

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_CHUNK = 1 << 20
_LONGEST_HEADER = 64 << 20
LONGEST_BLOCK = 256 << 20
"""Bytes that a block may have, packed or not."""


@dataclass(frozen=True)
class Block:
    """`rows` encoded records in `data`; `offset` is where the block begins in the file."""

    offset: int
    rows: int
    data: bytes


class Container:
    """The header of an Avro file, and its blocks. Raises PartialFile and ParseFailed."""

    def __init__(self, stream: ByteStream, name: str) -> None:
        self._bytes = _Bytes(stream, name)
        self._name = name
        if self._bytes.take(len(_MAGIC), "its header") != _MAGIC:
            raise ParseFailed(f"'{name}' is no Avro file: it does not begin like one", object=name)
        metadata = self._metadata()
        self._sync = self._bytes.take(_SYNC_BYTES, "its header")
        codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
        if codec not in _CODECS:
            raise ParseFailed(f"'{name}' is packed with '{codec}'; read are {', '.join(_CODECS)}", object=name)
        self._unpack = _CODECS[codec]
        try:
            self.schema: Any = json.loads(metadata["avro.schema"])
        except (KeyError, ValueError, RecursionError) as error:
            raise ParseFailed(f"The Avro header of '{name}' has no readable schema: {error}", object=name) from error

    def _metadata(self) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        while count := self._bytes.long("its header"):
            if count < 0:
                self._bytes.long("its header")
            for _ in range(abs(count)):
                key = self._text().decode("utf-8", "replace")
                found[key] = self._text()
        return found

    def _text(self) -> bytes:
        size = self._bytes.long("its header")
        if not 0 <= size <= _LONGEST_HEADER:
            raise ParseFailed(f"The Avro header of '{self._name}' is damaged", object=self._name)
        return self._bytes.take(size, "its header")

    def blocks(self) -> Iterator[Block]:
        """Every block, decompressed."""
        while not self._bytes.is_at_end():
            offset = self._bytes.offset
            rows, size = (
                self._bytes.long(f"the block at byte {offset}"),
                self._bytes.long(f"the block at byte {offset}"),
            )
            if rows < 0 or size < 0:
                raise self._failed(offset, "its row count or size is negative")
            if size > LONGEST_BLOCK:
                raise TooLarge(f"'{self._name}': the block at byte {offset} has {size} bytes", object=self._name)
            packed = self._bytes.take(size, f"the block at byte {offset}")
            if self._bytes.take(_SYNC_BYTES, f"the block at byte {offset}") != self._sync:
                raise self._failed(offset, "the sync marker after it is broken")
            try:
                data = self._unpack(packed)
            except _DAMAGE as error:
                raise self._failed(offset, f"it cannot be decompressed: {error}") from error
            if len(data) > LONGEST_BLOCK:
                raise TooLarge(f"'{self._name}': the block at byte {offset} is too large", object=self._name)
            yield Block(offset, rows, data)

    def _failed(self, offset: int, what: str) -> ParseFailed:
        return ParseFailed(f"'{self._name}': the Avro block at byte {offset}: {what}", object=self._name, offset=offset)


class _Bytes:
    """Takes exact numbers of bytes from a stream, and knows where it is."""

    def __init__(self, stream: ByteStream, name: str) -> None:
        self._stream = stream
        self._name = name
        self._buffer = b""
        self._position = 0
        self.offset = 0

    def is_at_end(self) -> bool:
        return not self._fill(1)

    def _fill(self, count: int) -> bool:
        """Whether so many bytes are there."""
        if len(self._buffer) - self._position >= count:
            return True
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < count and (chunk := self._stream.read(_CHUNK)):
            parts.append(chunk)
            have += len(chunk)
        self._buffer, self._position = b"".join(parts), 0
        return have >= count

    def take(self, count: int, what: str) -> bytes:
        if not self._fill(count):
            end = self.offset + len(self._buffer) - self._position
            raise PartialFile(f"'{self._name}' ends too early, at byte {end}, inside of {what}", object=self._name)
        taken = self._buffer[self._position : self._position + count]
        self._position += count
        self.offset += count
        return taken

    def long(self, what: str) -> int:
        """A zig-zag number of variable length."""
        value = shift = 0
        while True:
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            if shift > 63:
                raise ParseFailed(f"'{self._name}', byte {self.offset}: no number in {what}", object=self._name)


def _inflate(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15)
    data = unpacker.decompress(packed, LONGEST_BLOCK + 1)
    if len(data) <= LONGEST_BLOCK and not unpacker.eof:
        raise zlib.error("the data is cut off")
    return data


def _unsnap(packed: bytes) -> bytes:
    """Snappy, then the CRC-32 of the plain data."""
    import pyarrow as pa

    size = shift = position = 0
    while True:
        byte = packed[position]
        size |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            break
    if size > LONGEST_BLOCK:
        raise ValueError(f"it would have {size} bytes")
    data: bytes = pa.Codec("snappy").decompress(packed[:-4], decompressed_size=size, asbytes=True)
    if zlib.crc32(data) != int.from_bytes(packed[-4:], "big"):
        raise ValueError("its checksum is wrong")
    return data


def _unzstd(packed: bytes) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        data: bytes = stream.read(LONGEST_BLOCK + 1)
    return data


def _unbzip(packed: bytes) -> bytes:
    unpacker = bz2.BZ2Decompressor()
    return _whole(unpacker.decompress(packed, LONGEST_BLOCK + 1), unpacker.eof)


def _unxz(packed: bytes) -> bytes:
    unpacker = lzma.LZMADecompressor()
    return _whole(unpacker.decompress(packed, LONGEST_BLOCK + 1), unpacker.eof)


def _whole(data: bytes, is_at_end: bool) -> bytes:
    if len(data) <= LONGEST_BLOCK and not is_at_end:
        raise ValueError("the data is cut off")
    return data


_CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": lambda packed: packed,
    "deflate": _inflate,
    "snappy": _unsnap,
    "zstandard": _unzstd,
    "bzip2": _unbzip,
    "xz": _unxz,
}
_DAMAGE = (zlib.error, lzma.LZMAError, ValueError, OSError, IndexError, EOFError)


def plain_container(schema: Any, blocks: list[Block]) -> io.BytesIO:
    """The blocks as an Avro file of that schema, without compression."""
    sync = b"\x00" * _SYNC_BYTES
    out = io.BytesIO()
    text = json.dumps(schema).encode()
    out.write(_MAGIC + _number(1) + _number(len(b"avro.schema")) + b"avro.schema" + _number(len(text)) + text)
    out.write(_number(0) + sync)
    for block in blocks:
        out.write(_number(block.rows) + _number(len(block.data)))
        out.write(block.data)
        out.write(sync)
    out.seek(0)
    return out


def _number(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append((zigzag & 0x7F) | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)
