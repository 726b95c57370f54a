"""The home's own key pair, which signs and verifies tokens when no external issuer is set."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from joserfc.jwk import ECKey

from ingestion.settings import Settings

KEY_FILE = "signing-key.pem"


def local_key(settings: Settings) -> ECKey:
    """The private key (ES256) of this home, made at first use. Processes that start together get the same one."""
    path = settings.keys_dir / KEY_FILE
    if not path.exists():
        _create(path)
    key = ECKey.import_key(path.read_bytes())
    key.ensure_kid()
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file readable by this user alone.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(ECKey.generate_key("P-256").as_pem(private=True))
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and only for the first of several processes.
        os.link(draft, path)
    except FileExistsError:
        pass  # Another process was first; its key is the home's key.
    finally:
        os.unlink(draft)
