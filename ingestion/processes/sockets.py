"""Where the unix sockets between the processes of one home are."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from ingestion.settings import Settings

# sun_path holds 108 bytes on Linux and 104 on macOS, with the final NUL; gRPC wants a little air.
LONGEST_PATH_BYTES = 100

CODE_SOCKET = "code.sock"
LAUNCHER_SOCKET = "launcher.sock"


def socket_path(settings: Settings, name: str) -> Path:
    """The path of the home's socket `name`, with its folder made for this user alone.

    It is `<home>/run/<name>`, or a folder of the temporary directory named by the home's hash when that is too
    long for a unix socket. Every process of the home gets the same answer.
    """
    path = settings.sockets_dir / name
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path
    folder = _short_folder(settings.home_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    _refuse_foreign_folder(folder)
    return folder / name


def _short_folder(home: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ingestion-{os.getuid()}-{digest}"


def _refuse_foreign_folder(folder: Path) -> None:
    # Anyone may have made the folder of that name in a shared temporary directory before us.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"the socket folder {folder} is not a folder of this user alone")
