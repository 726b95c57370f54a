"""Text cut into lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ingestion.errors import TooLarge

LONGEST_LINE = 8 << 20
"""Bytes a line may have."""


def text_blocks(chunks: Iterator[bytes], name: str, end: bytes = b"\n") -> Iterator[str]:
    """Many whole lines at a time, the end of the last one left out; bytes that are not UTF-8 become lone surrogates.

    Raises TooLarge.
    """
    rest, before = b"", 0
    for chunk in chunks:
        block, found, tail = (rest + chunk).rpartition(end)
        if len(tail) > LONGEST_LINE:
            line = before + block.count(end) + bool(found) + 1
            raise TooLarge(f"'{name}', line {line}: more than {LONGEST_LINE} bytes", object=name, line=line)
        rest = tail
        if found:
            before += block.count(end) + 1
            yield block.decode("utf-8", "surrogateescape")
    if rest:
        yield rest.decode("utf-8", "surrogateescape")


def text_lines(chunks: Iterator[bytes], name: str) -> Iterator[str]:
    """Lines without their ends, as `text_blocks` has them."""
    for block in text_blocks(chunks, name):
        yield from block.split("\n")


class Lines:
    """Lines with their numbers, taken one at a time or a block at a time, which can be given back."""

    def __init__(self, blocks: Iterator[str], separator: str) -> None:
        self._blocks = blocks
        self._separator = separator
        self._waiting: list[str] = []
        self.number = 0
        """Of the line taken last; the first one is 1."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._waiting:
            self._open(next(self._blocks))
        self.number += 1
        return self._waiting.pop()

    def _open(self, block: str) -> None:
        self._waiting = block.split(self._separator)
        self._waiting.reverse()

    def give_back(self, lines: Sequence[str]) -> None:
        """Have these lines, the ones taken last, taken again."""
        self._waiting += reversed(lines)
        self.number -= len(lines)

    def take_block(self, accept: Callable[[str], str | None]) -> str | None:
        """The next whole block as `accept` has it, one line end between its lines; None when there is none such.

        What is not accepted is taken a line at a time.
        """
        if self._waiting or self._separator != "\n":
            return None
        block = next(self._blocks, None)
        if block is None:
            return None
        accepted = accept(block)
        if accepted is None:
            self._open(block)
        else:
            self.number += accepted.count("\n") + 1
        return accepted


def is_text(line: str) -> bool:
    """Whether UTF-8 can write it: it holds none of the surrogates that stand for other bytes."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
