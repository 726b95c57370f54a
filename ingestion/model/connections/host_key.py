"""The pinned host key of an SSH server."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Self

_FINGERPRINT = re.compile(r"SHA256:([A-Za-z0-9+/]{43})=?")
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_FORMS = (
    "an OpenSSH public key such as 'ssh-ed25519 AAAA...' (as ssh-keyscan and the server's "
    "/etc/ssh/ssh_host_ed25519_key.pub show it), or its fingerprint 'SHA256:...' (as ssh-keygen -l shows it)"
)


@dataclass(frozen=True)
class HostKey:
    """A key by its SHA256 fingerprint; `key_type` is None when only the fingerprint is known."""

    fingerprint: str
    key_type: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a public key line, a line of ssh-keyscan, or a fingerprint. Raises ValueError."""
        text = text.strip()
        if found := _FINGERPRINT.fullmatch(text):
            return cls(f"SHA256:{found[1]}", None)
        words = text.split()
        for position, word in enumerate(words[:2]):  # ssh-keyscan writes the host before the key.
            if word in _KEY_TYPES and len(words) > position + 1:
                return cls(_fingerprint(word, words[position + 1]), word)
        raise ValueError(f"is not a host key: it has to be {_FORMS}; known key types are {', '.join(_KEY_TYPES)}")


def _fingerprint(key_type: str, encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is not a whole {key_type} key: {error}; it has to be {_FORMS}") from error
    name = key_type.encode()
    if not data.startswith(len(name).to_bytes(4, "big") + name) or len(data) <= 4 + len(name):
        raise ValueError(f"is not a whole {key_type} key; it has to be {_FORMS}")
    return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
