"""From an object as it is stored to plain files on disk: decompressed, transcoded to UTF-8, without a BOM."""

from __future__ import annotations

import codecs
import fnmatch
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from ingestion.errors import FileMissing, ParseFailed, PartialFile
from ingestion.formats.detection import Compression, kind_of

CHUNK = 1 << 20
_EXPANSION_LIMIT = 250
_EXPANSION_FREE_BYTES = 1 << 30
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

Tick = Callable[[], None]


class ByteStream(Protocol):
    """Something that gives bytes until it gives none."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; b"" at the end."""
        ...


def compression_of(name: str, head: bytes, declared: Compression | None) -> Compression:
    """The declared compression, else the one told by the name, else by the first bytes."""
    if declared is not None:
        return declared
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    told = kind_of(name).compression
    if told != "none" and head:
        raise ParseFailed(f"'{name}' is named as {told} but does not begin like {told}", object=name)
    return "none"


def decompressed(
    path: Path, name: str, compression: Compression, member: str | None
) -> Iterator[tuple[str, ByteStream]]:
    """The plain byte streams in the file at `path`, each with the name to call it by; only zip has several.

    Raises PartialFile when an archive ends early and ParseFailed when it is none, is encrypted, holds names
    that leave the archive, or expands absurdly. The streams raise the same while they are read.
    """
    if compression == "zip":
        yield from _members(path, name, member)
    elif compression == "gzip":
        with gzip.open(path, "rb") as stream:
            yield name, _Guarded(stream, name, path.stat().st_size)
    else:
        with path.open("rb") as plain:
            yield name, plain


def naming_member(path: Path, name: str) -> str | None:
    """The first member's name when `name` says only that it is a zip archive; None otherwise."""
    kind = kind_of(name)
    if kind.compression != "zip" or kind.file_format is not None or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return next((info.filename for info in archive.infolist() if kind_of(info.filename).file_format), None)


def _members(path: Path, name: str, wanted: str | None) -> Iterator[tuple[str, ByteStream]]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise PartialFile(f"The zip archive '{name}' is cut off or damaged: {error}", object=name) from error
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        for info in members:
            _check_member(info, name)
        chosen = [info for info in members if _is_chosen(info.filename, wanted)]
        if not chosen:
            raise FileMissing(
                f"The zip archive '{name}' has no member that matches '{wanted or '*'}'; "
                f"it has {', '.join(sorted(info.filename for info in members)[:10]) or 'none'}",
                object=name,
            )
        for info in sorted(chosen, key=lambda info: info.filename):
            label = name if len(chosen) == 1 else f"{name}/{info.filename}"
            try:
                with archive.open(info) as stream:
                    yield label, _Guarded(stream, label, info.compress_size)
            except (NotImplementedError, zipfile.BadZipFile) as error:
                raise ParseFailed(f"The member '{info.filename}' of '{name}' cannot be read: {error}") from error


def _check_member(info: zipfile.ZipInfo, name: str) -> None:
    member = PurePosixPath(info.filename.replace("\\", "/"))
    if info.flag_bits & 0x1:
        raise ParseFailed(f"The zip archive '{name}' is encrypted ('{info.filename}'), which is not read", object=name)
    if member.is_absolute() or ".." in member.parts or (member.parts[:1] and member.parts[0].endswith(":")):
        raise ParseFailed(f"The zip archive '{name}' has a member outside itself: '{info.filename}'", object=name)
    if _is_absurd(info.file_size, info.compress_size):
        raise ParseFailed(
            f"The member '{info.filename}' of '{name}' would grow from {info.compress_size} to {info.file_size} bytes, "
            f"which no real data does",
            object=name,
        )


def _is_chosen(filename: str, wanted: str | None) -> bool:
    if wanted is None:
        return not filename.startswith("__MACOSX/") and not PurePosixPath(filename).name.startswith(".")
    return fnmatch.fnmatchcase(filename, wanted)


def _is_absurd(plain: int, packed: int) -> bool:
    return plain > _EXPANSION_FREE_BYTES and plain > _EXPANSION_LIMIT * max(packed, 1)


class _Guarded:
    """A decompressing stream whose errors are ours and whose expansion is bounded."""

    def __init__(self, stream: ByteStream, name: str, packed: int) -> None:
        self._stream = stream
        self._name = name
        self._packed = packed
        self._plain = 0

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._stream.read(size)
        except EOFError as error:
            raise PartialFile(f"'{self._name}' ends too early: {error}", object=self._name) from error
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, OSError) as error:
            raise ParseFailed(f"'{self._name}' cannot be decompressed: {error}", object=self._name) from error
        self._plain += len(data)
        if _is_absurd(self._plain, self._packed):
            raise ParseFailed(f"'{self._name}' expands beyond {self._plain} bytes, which no real data does")
        return data


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
