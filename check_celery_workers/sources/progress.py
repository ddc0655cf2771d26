"""How far a check is: shown on a terminal, with the beginning of what was read."""

from __future__ import annotations

import os
from contextlib import suppress

from check_celery_workers.sources.stream import is_writable


class Progress:
    """Keeps the beginning of the text in `raw`, and shows a line on a terminal. A context manager that clears it."""

    def __init__(self, keeps: int, shows: bool) -> None:
        """Keep so many characters; show a line only if standard error is a terminal."""
        self.raw = ""
        self._keeps = keeps
        self._shows = shows and os.isatty(2)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line."""
        self.show("")

    def note(self, text: str) -> None:
        """Note more text."""
        if len(self.raw) < self._keeps:
            self.raw += text[: self._keeps]

    def count(self, replied: int, expected: int) -> None:
        """Show how many workers have replied by now, and how many are expected."""
        self.show(f"{replied:,} answered, {expected:,} expected")

    def show(self, line: str) -> None:
        """Show this instead of what was shown."""
        # A terminal that is stopped takes nothing.
        if self._shows and is_writable(2, 0.0):
            with suppress(OSError):
                os.write(2, f"\r\x1b[K{line}".encode())
