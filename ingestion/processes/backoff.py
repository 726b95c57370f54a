"""How long to wait before a process that ended is started again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Doubles from `first` to `longest` seconds, each time with up to a quarter of jitter on top."""

    first: float = 1.0
    longest: float = 30.0
    failures: int = 0
    jitter: random.Random = field(default_factory=random.Random)

    def next(self) -> float:
        """The seconds to wait after one more failure, never more than `longest`."""
        wait = min(self.longest, self.first * 2.0**self.failures)
        self.failures += 1
        return min(self.longest, wait * (1 + self.jitter.random() / 4))

    def reset(self) -> None:
        """The process was healthy for long enough."""
        self.failures = 0
