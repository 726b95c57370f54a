"""Rows on their way from pages to the staging of files: gathered on disk into pieces of a bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ingestion.formats.reader import LocalFile
from ingestion.sources.api.documents import Block

SPOOL_BYTES = 64 << 20


def spooled(
    blocks: Iterator[Block], folder: Path, label: str, pages: Callable[[], int], most_bytes: int = SPOOL_BYTES
) -> Iterator[LocalFile]:
    """The rows as files of NDJSON, each written when it is asked for. `pages` says how many were read so far."""
    folder.mkdir(parents=True, exist_ok=True)
    first_page, number, rows_before = 1, 0, 0
    is_more = True
    while is_more:
        path = folder / f"{number:06d}.ndjson"
        size = rows = 0
        is_more = False
        with path.open("wb") as file:
            for block in blocks:
                file.write(block.lines)
                size += len(block.lines)
                rows += block.rows
                if size >= most_bytes:
                    is_more = True
                    break
        if rows:
            last_page = max(pages(), first_page)
            name = f"{label}, rows from {rows_before + 1}, pages {first_page}-{last_page}.ndjson"
            yield LocalFile(name, size, moving(path))
            first_page, rows_before = last_page, rows_before + rows
        else:
            path.unlink()
        number += 1


def moving(path: Path) -> Callable[[Path], None]:
    """Fetches a file that is here already."""

    def fetch(target: Path) -> None:
        path.replace(target)

    return fetch
