"""Secret values by their references: read where they are used, never stored and never in a message."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ingestion.errors import SecretUnavailable
from ingestion.model.references import REFERENCE_FORMS, is_reference
from ingestion.settings import Settings

_MAX_BYTES = 65_536
_ENV, _FILE = "env://", "file://"


def resolve_secret(reference: str, settings: Settings, environment: Mapping[str, str] | None = None) -> str:
    """The secret `reference` stands for; without the line break at the end of a file or of Secret Manager's value.

    `environment` is the process's own unless given. Raises SecretUnavailable, and its kind SecretUnreachable where
    the same reference may be read later.
    """
    if not is_reference(reference):
        # Not repeated: it may be the secret itself.
        raise SecretUnavailable(f"This is not a secret reference; accepted forms are {REFERENCE_FORMS}")
    if reference.startswith(_ENV):
        return _from_environment(reference.removeprefix(_ENV), os.environ if environment is None else environment)
    if reference.startswith(_FILE):
        return _from_file(reference.removeprefix(_FILE), settings.secrets_dir)
    from ingestion.secret_manager import read_secret

    payload = read_secret(reference, settings.secret_manager_endpoint, settings.google_credentials)
    return _text(reference, payload)


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name)
    if not value:
        raise SecretUnavailable(f"'{_ENV}{name}' cannot be read: the variable {name} of the worker is not set or empty")
    return value


def _from_file(name: str, folder: Path) -> str:
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise SecretUnavailable(f"'{_FILE}{name}' cannot be read: it leads out of the folder {folder}")
        if not path.is_file():
            raise SecretUnavailable(f"'{_FILE}{name}' cannot be read: there is no file {path}")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a symbolic link that leads to itself.
        raise SecretUnavailable(f"'{_FILE}{name}' cannot be read: {type(error).__name__} at {path}") from error
    return _text(f"{_FILE}{name}", content)


def _text(reference: str, content: bytes) -> str:
    if len(content) > _MAX_BYTES:
        raise SecretUnavailable(f"'{reference}' cannot be read: it is larger than {_MAX_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # The cause would carry the content.
        raise SecretUnavailable(f"'{reference}' cannot be read: it is not UTF-8 text") from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretUnavailable(f"'{reference}' cannot be read: it is empty")
    return value
