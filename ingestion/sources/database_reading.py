"""What the readings of all databases share: the amounts they have got so far, and the telling of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingestion.sources.base import Progress

_PROGRESS_SECONDS = 0.5


@dataclass
class Amount:
    """What one reading has got from the server so far."""

    rows: int = 0
    bytes: int = 0


def throttled(progress: Progress, amounts: Sequence[Amount]) -> Callable[[], None]:
    """Tells the amounts so far, now and then."""
    told = time.monotonic()

    def tick() -> None:
        nonlocal told
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            progress({"rows_extracted": sum(a.rows for a in amounts), "bytes_processed": sum(a.bytes for a in amounts)})

    return tick
