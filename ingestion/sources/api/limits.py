"""How fast an API is asked, and how long its refusals are borne."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
MOST_ATTEMPTS = 8
RETRY_SECONDS = 300.0


class RateLimit:
    """At most `per_second` requests a second, evenly spread; as many as can be when None."""

    def __init__(self, per_second: float | None) -> None:
        self._pause = 1 / per_second if per_second else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        """Until the next request may be sent."""
        now = time.monotonic()
        turn = max(self._next, now)
        self._next = turn + self._pause
        if turn > now:
            await asyncio.sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Send nothing for so long: the server has had enough of all requests, not of one."""
        self._next = max(self._next, time.monotonic() + seconds)


class Patience:
    """The attempts at one page: pauses that double, with jitter, within a total time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started: float | None = None
        self.attempts = 0

    @property
    def waited(self) -> float:
        """Seconds since the first failure."""
        return 0.0 if self._started is None else time.monotonic() - self._started

    def pause(self, asked: float | None, most_attempts: int = MOST_ATTEMPTS) -> float | None:
        """Seconds to wait before the next attempt, or None when it is enough. `asked` is the server's wish."""
        self.attempts += 1
        if self._started is None:
            self._started = time.monotonic()
        left = self._seconds - self.waited
        if asked is not None:
            return asked if asked <= left else None
        if self.attempts >= most_attempts:
            return None
        wanted = min(FIRST_PAUSE * 2 ** (self.attempts - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        return wanted if wanted <= left else None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds a Retry-After header asks for, in either of its forms; None when there is none or it is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
