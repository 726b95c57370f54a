"""The files inside of zip and tar archives."""

from __future__ import annotations

import fnmatch
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ingestion.errors import FileMissing, ParseFailed, PartialFile
from ingestion.formats.guarded import ByteStream, Guarded, is_absurd


def zip_members(path: Path, name: str, wanted: str | None) -> Iterator[tuple[str, ByteStream]]:
    """The members whose names match `wanted`, by name."""
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
            raise _no_member(name, wanted, [info.filename for info in members])
        for info in sorted(chosen, key=lambda info: info.filename):
            label = name if len(chosen) == 1 else f"{name}/{info.filename}"
            try:
                with archive.open(info) as stream:
                    yield label, Guarded(stream, label, info.compress_size)
            except (NotImplementedError, zipfile.BadZipFile) as error:
                raise ParseFailed(f"The member '{info.filename}' of '{name}' cannot be read: {error}") from error


def _check_member(info: zipfile.ZipInfo, name: str) -> None:
    if info.flag_bits & 0x1:
        raise ParseFailed(f"The zip archive '{name}' is encrypted ('{info.filename}'), which is not read", object=name)
    _require_inside(info.filename, name)
    if is_absurd(info.file_size, info.compress_size):
        raise ParseFailed(
            f"The member '{info.filename}' of '{name}' would grow from {info.compress_size} to {info.file_size} bytes, "
            f"which no real data does",
            object=name,
        )


def _is_chosen(filename: str, wanted: str | None) -> bool:
    if wanted is None:
        return not filename.startswith("__MACOSX/") and not PurePosixPath(filename).name.startswith(".")
    return fnmatch.fnmatchcase(filename, wanted)


def tar_members(stream: ByteStream, name: str, wanted: str | None) -> Iterator[tuple[str, ByteStream]]:
    """The members whose names match `wanted`, in the order of the archive, which is read once."""
    names: list[str] = []
    has_any = False
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for info in archive:
                if not info.isfile():
                    continue
                _require_inside(info.name, name)
                names.append(info.name)
                if _is_chosen(info.name, wanted):
                    has_any = True
                    label = f"{name}/{info.name}"
                    yield label, Guarded(archive.extractfile(info), label, info.size)
    except tarfile.TarError as error:
        kind = PartialFile if "end of data" in str(error) or "empty" in str(error) else ParseFailed
        raise kind(f"The tar archive '{name}' is cut off or damaged: {error}", object=name) from error
    if not has_any:
        raise _no_member(name, wanted, names)


def _require_inside(filename: str, name: str) -> None:
    member = PurePosixPath(filename.replace("\\", "/"))
    if member.is_absolute() or ".." in member.parts or (member.parts[:1] and member.parts[0].endswith(":")):
        raise ParseFailed(f"The archive '{name}' has a member outside itself: '{filename}'", object=name)


def _no_member(name: str, wanted: str | None, names: list[str]) -> FileMissing:
    return FileMissing(
        f"The archive '{name}' has no member that matches '{wanted or '*'}'; "
        f"it has {', '.join(sorted(names)[:10]) or 'none'}",
        object=name,
    )
