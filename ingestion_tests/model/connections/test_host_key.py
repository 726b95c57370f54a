from __future__ import annotations

import pytest

from ingestion.model.connections.host_key import HostKey

# Made by ssh-keygen, which says that this is its fingerprint.
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPkt8EVafOqJc1GMI+JxeoIGGv79zVk8HZ8CxV1vd2UQ"
FINGERPRINT = "SHA256:zH5zyBmKtgDm+dZhu389e4+8V3SiJruhTx0Ugi33mmQ"


@pytest.mark.parametrize("text", [KEY, KEY + " root@files", "files.example.com " + KEY, f" {KEY}\n"])
def test_a_key_is_known_by_its_fingerprint(text: str) -> None:
    assert HostKey.parse(text) == HostKey(FINGERPRINT, "ssh-ed25519")


@pytest.mark.parametrize("text", [FINGERPRINT, FINGERPRINT + "=", FINGERPRINT + "\n"])
def test_a_fingerprint_does_not_tell_the_type(text: str) -> None:
    assert HostKey.parse(text) == HostKey(FINGERPRINT, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SHA256:abc",
        "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 not!base64",
        KEY.replace("ssh-ed25519", "ssh-rsa"),
        "@cert-authority *.example.com " + KEY,
        "ssh-dss AAAAB3NzaC1kc3MAAACBAKk",
    ],
)
def test_what_is_no_key_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"SHA256:\.\.\."):
        HostKey.parse(text)
