"""Text cut into lines."""

from __future__ import annotations

from collections.abc import Iterator

from ingestion.errors import TooLarge

LONGEST_LINE = 8 << 20
"""Bytes a line may have."""


def text_lines(chunks: Iterator[bytes], name: str, end: bytes = b"\n") -> Iterator[str]:
    """Lines without their ends; bytes that are not UTF-8 become lone surrogates. Raises TooLarge."""
    rest, before = b"", 0
    separator = end.decode()
    for chunk in chunks:
        block, found, tail = (rest + chunk).rpartition(end)
        if len(tail) > LONGEST_LINE:
            line = before + block.count(end) + bool(found) + 1
            raise TooLarge(f"'{name}', line {line}: more than {LONGEST_LINE} bytes", object=name, line=line)
        rest = tail
        if found:
            before += block.count(end) + 1
            yield from block.decode("utf-8", "surrogateescape").split(separator)
    if rest:
        yield rest.decode("utf-8", "surrogateescape")


def is_text(line: str) -> bool:
    """Whether UTF-8 can write it: it holds none of the surrogates that stand for other bytes."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
