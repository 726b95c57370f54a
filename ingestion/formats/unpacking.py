"""From an object as it is stored to plain files on disk: decompressed, transcoded to UTF-8, without a BOM."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingestion.errors import ParseFailed
from ingestion.formats.archives import tar_members, zip_members
from ingestion.formats.detection import Compression, kind_of
from ingestion.formats.guarded import ByteStream as ByteStream
from ingestion.formats.guarded import Guarded

CHUNK = 1 << 20
HEAD_BYTES = 512
"""As much of a file as is needed to tell its compression."""
_TAR_MAGIC_AT = 257
_MAGIC: Mapping[Compression, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zip": re.compile(rb"PK\x03\x04"),
    "bzip2": re.compile(rb"BZh[1-9]1AY&SY"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
_INSIDE_TAR = ("tar", "gzip", "bzip2", "xz", "zstd")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

Tick = Callable[[], None]


def compression_of(name: str, head: bytes, declared: Compression | None) -> Compression:
    """The declared compression, else the one told by the name, else by the first HEAD_BYTES bytes."""
    if declared is not None:
        return declared
    told, seen = kind_of(name).compression, _seen(head)
    if told == "tar" and (seen in _INSIDE_TAR or not head):
        return "tar"
    if told not in ("none", seen) and head:
        raise ParseFailed(f"'{name}' is named as {told} but does not begin like {told}", object=name)
    return seen


def _seen(head: bytes) -> Compression:
    if head[_TAR_MAGIC_AT:].startswith(b"ustar"):
        return "tar"
    return next((kind for kind, magic in _MAGIC.items() if magic.match(head)), "none")


def decompressed(
    path: Path, name: str, compression: Compression, member: str | None
) -> Generator[tuple[str, ByteStream]]:
    """The plain byte streams in the file at `path`, each with the name to call it by; only archives have several.

    Raises PartialFile when an archive ends early and ParseFailed when it is none, is encrypted, holds names
    that leave the archive, or expands absurdly. The streams raise the same while they are read.
    """
    if compression == "zip":
        yield from zip_members(path, name, member)
    elif compression == "tar":
        with path.open("rb") as file:
            inner = _seen(file.read(HEAD_BYTES))
        with _opened(path, name, "none" if inner in ("tar", "zip") else inner) as stream:
            yield from tar_members(stream, name, member)
    else:
        with _opened(path, name, compression) as stream:
            yield name, stream


@contextmanager
def _opened(path: Path, name: str, compression: Compression) -> Iterator[ByteStream]:
    with _OPENERS[compression](path) as stream:
        yield stream if compression == "none" else Guarded(stream, name, path.stat().st_size)


def _open_zstd(path: Path) -> Any:
    return pa.input_stream(str(path), compression="zstd")


_OPENERS: Mapping[Compression, Callable[[Path], Any]] = {
    "none": partial(open, mode="rb"),
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "zstd": _open_zstd,
}


def naming_member(path: Path, name: str) -> str | None:
    """The first member's name when `name` says only that it is an archive; None otherwise."""
    kind = kind_of(name)
    if kind.file_format is not None:
        return None
    if kind.compression == "zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return next((info.filename for info in archive.infolist() if kind_of(info.filename).file_format), None)
    if kind.compression == "tar":
        with closing(decompressed(path, name, "tar", None)) as members:
            return next((label for label, _ in members if kind_of(label).file_format), None)
    return None


def encoding_of(head: bytes, declared: str | None) -> tuple[str, int]:
    """(codec name, bytes of BOM to drop). A BOM wins over no declaration; without both it is UTF-8."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            if declared is None or _same_family(declared, name):
                return name, len(bom)
            break
    return (codecs.lookup(declared).name if declared else "utf-8"), 0


def _same_family(declared: str, told: str) -> bool:
    return codecs.lookup(declared).name.split("-")[:2] == told.split("-")[:2]


def utf8_chunks(stream: ByteStream, name: str, declared: str | None, tick: Tick) -> Iterator[bytes]:
    """The stream's text as UTF-8, a chunk at a time and without a BOM.

    UTF-8 is passed on unchecked: its readers reject the single bad row. Raises ParseFailed, with the line,
    where bytes are not valid in another encoding.
    """
    head = stream.read(CHUNK)
    encoding, skipped = encoding_of(head, declared)
    if encoding in ("utf-8", "ascii", "utf-8-sig"):
        chunk = head[skipped:]
        while chunk:
            yield chunk
            tick()
            chunk = stream.read(CHUNK)
        return
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    line, chunk = 1, head[skipped:]
    while True:
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(encoding, "replace").count("\n")
            raise ParseFailed(
                f"'{name}', line {line}: not valid {encoding} ({error.reason})", object=name, line=line
            ) from error
        line += text.count("\n")
        if text:
            yield text.encode()
        if not chunk:
            return
        tick()
        chunk = stream.read(CHUNK)
