"""Connectors that are installed, found by their entry points."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ingestion.connectors.base import CustomConnector
from ingestion.errors import SourceNotSupported

GROUP = "ingestion.connectors"


def installed_connectors() -> Sequence[str]:
    """Names of the installed connectors, in order."""
    return sorted({found.name for found in entry_points(group=GROUP)})


def load_connector(name: str) -> type[CustomConnector[Any, Any]]:
    """The connector of that name. Raises SourceNotSupported when none is installed, or when it cannot be imported."""
    loaded = _import(_entry_point(name))
    if not (isinstance(loaded, type) and issubclass(loaded, CustomConnector)):
        raise SourceNotSupported(f"the connector '{name}' is not a subclass of ingestion.connectors.CustomConnector")
    return loaded


def _entry_point(name: str) -> EntryPoint:
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        known = ", ".join(installed_connectors()) or "none"
        raise SourceNotSupported(
            f"no connector named '{name}' is installed where the service runs; installed are: {known}", connector=name
        )
    values = {point.value for point in found}
    if len(values) > 1:
        raise SourceNotSupported(
            f"the connector '{name}' is installed more than once, as {' and as '.join(sorted(values))}", connector=name
        )
    return found[0]


def _import(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # Whatever a foreign module raises while it is imported.
        raise SourceNotSupported(
            f"the connector '{point.name}' ({point.value}) cannot be imported: {type(error).__name__}: {error}",
            connector=point.name,
        ) from error
