"""The remote files that match a glob.

As in a shell, names that begin with a dot (often files that are being uploaded) match only where the pattern has a
dot there itself, and `**` does not follow links to folders. Links to files, and links to folders that a part of the
pattern without `**` names, are followed.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from ingestion.errors import FileMissing, ParseFailed, SourcePermissionDenied
from ingestion.sources.base import ObjectVersion
from ingestion.sources.globs import compiled, literal_prefix
from ingestion.sources.sftp_errors import sftp_errors

if TYPE_CHECKING:
    import asyncssh

_FOLDERS_AT_ONCE = 8
_SLASH_IN_SET = re.compile(r"\[[^\]]*/")


class Kind(Enum):
    """What a remote name is."""

    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    SPECIAL = auto()


def kind_of(attributes: asyncssh.SFTPAttrs) -> Kind:
    """What has these attributes; a file, if the server does not say."""
    import asyncssh

    if attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
        return Kind.FOLDER
    if attributes.type == asyncssh.FILEXFER_TYPE_SYMLINK:
        return Kind.LINK
    is_file = attributes.type in (asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN)
    return Kind.FILE if is_file else Kind.SPECIAL


def version_of(name: str, attributes: asyncssh.SFTPAttrs) -> ObjectVersion:
    """SFTP has no generations: a file's time of change, in seconds, and its size stand for one."""
    size = attributes.size or 0
    return ObjectVersion(name, f"{int(attributes.mtime or 0)}-{size}", size)


async def list_files(sftp: asyncssh.SFTPClient, root: str, pattern: str, where: str) -> list[ObjectVersion]:
    """The files below `root` that match, by name. `where` is what messages call the server.

    Raises FileMissing when there is no folder `root`, SourcePermissionDenied for a folder that may not be listed.
    """
    await _require_folder(sftp, root, where)
    listing = _Listing(sftp, root, where, pattern)
    if literal_prefix(pattern) == pattern:
        await listing.stat(pattern)
    else:
        await listing.enter(listing.start, listing.depth)
    return sorted(listing.found, key=lambda version: version.name)


async def _require_folder(sftp: asyncssh.SFTPClient, root: str, where: str) -> None:
    with sftp_errors(f"The folder '{root}' on {where}", "enter"):
        attributes = await sftp.stat(root)
    if kind_of(attributes) is not Kind.FOLDER:
        raise FileMissing(f"'{root}' on {where} is not a folder; remote_path has to be one")


class _Listing:
    """One walk. `start` is the folder that all matches are in: it is entered without a search for it."""

    def __init__(self, sftp: asyncssh.SFTPClient, root: str, where: str, pattern: str) -> None:
        self._sftp = sftp
        self._root = root
        self._where = where
        self._matcher = compiled(pattern)
        self._parts = ["**"] if _SLASH_IN_SET.search(pattern) else pattern.split("/")
        self._shows_hidden = self._parts[-1].startswith(".")
        self._at_once = asyncio.Semaphore(_FOLDERS_AT_ONCE)
        self.start = posixpath.dirname(literal_prefix(pattern))
        self.depth = self.start.count("/") + 1 if self.start else 0
        self.found: list[ObjectVersion] = []

    async def stat(self, name: str) -> None:
        """Look for the one file that a pattern without wildcards names: that takes no right to list its folder."""
        path = posixpath.join(self._root, name)
        try:
            with sftp_errors(f"'{path}' on {self._where}", "see"):
                attributes = await self._sftp.stat(path)
        except FileMissing:
            return  # No match.
        if kind_of(attributes) is not Kind.FOLDER:
            self._add(name, attributes)

    async def enter(self, folder: str, depth: int) -> None:
        """Look through one folder, and those below it that may hold matches."""
        async with self._at_once:
            entries = await self._entries(folder)
        below = []
        for name, attributes in entries:
            path = posixpath.join(folder, name)
            may_be_file = (self._shows_hidden or name[0] != ".") and self._matcher.fullmatch(path) is not None
            may_be_folder = self._may_hold_matches(name, depth)
            if not (may_be_file or may_be_folder):
                continue
            was_link = kind_of(attributes) is Kind.LINK
            if was_link:
                attributes = await self._followed(path)
            if kind_of(attributes) is not Kind.FOLDER:
                if may_be_file:
                    self._add(path, attributes)
            elif may_be_folder and not (was_link and self._is_deep(depth)):
                below.append(self.enter(path, depth + 1))
        await asyncio.gather(*below)

    async def _entries(self, folder: str) -> list[tuple[str, asyncssh.SFTPAttrs]]:
        path = posixpath.join(self._root, folder)
        try:
            with sftp_errors(f"The folder '{path}' on {self._where}", "list"):
                named = [(str(entry.filename), entry.attrs) async for entry in self._sftp.scandir(path)]
        except FileMissing:
            if folder != self.start:  # It was there a moment ago.
                raise
            return []
        return [entry for entry in named if entry[0] not in (".", "..")]

    def _is_deep(self, depth: int) -> bool:
        """Whether a `**` of the pattern has been passed or reached at this depth."""
        return any("**" in part for part in self._parts[: depth + 1])

    def _may_hold_matches(self, name: str, depth: int) -> bool:
        if self._is_deep(depth):
            return not name.startswith(".")
        if depth >= len(self._parts) - 1:
            return False
        part = self._parts[depth]
        if name.startswith(".") and not part.startswith("."):
            return False
        return compiled(part).fullmatch(name) is not None

    async def _followed(self, name: str) -> asyncssh.SFTPAttrs:
        path = posixpath.join(self._root, name)
        with sftp_errors(f"What the link '{path}' on {self._where} leads to", "read"):
            return await self._sftp.stat(path)

    def _add(self, name: str, attributes: asyncssh.SFTPAttrs) -> None:
        if kind_of(attributes) is Kind.SPECIAL:  # To open a pipe is to wait for its writer.
            raise SourcePermissionDenied(f"'{name}' on {self._where} is not a file", object=name)
        if not name.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in name):
            shown = name.encode(errors="surrogateescape")
            raise ParseFailed(f"The name of the file {shown!r} on {self._where} is not UTF-8; rename it there")
        self.found.append(version_of(name, attributes))
