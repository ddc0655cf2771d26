"""Files: read as lines, replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from check_celery_workers.errors import CannotJudge
from check_celery_workers.node import printable
from check_celery_workers.sources.stream import Stream


def read_file(path: str, deadline: float) -> Iterator[str]:
    """Yield the lines of what a path names. Raises CannotJudge if it cannot be read before the deadline."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise CannotJudge(f"{printable(path)} cannot be read: {error.strerror}") from None
    try:
        for text in Stream(fd, printable(path), deadline):
            if text:
                yield from text.removesuffix("\n").split("\n")
    finally:
        os.close(fd)


def read_if_there(path: str, deadline: float) -> list[str]:
    """Return the lines of a file, none if there is no regular file. Raises CannotJudge if it cannot be read."""
    from pathlib import Path

    return [*read_file(path, deadline)] if Path(path).is_file() else []


def replace_file(path: str, text: str) -> None:
    """Write the text to what a path names, which keeps its owner and mode; whoever reads it meanwhile gets the old one.

    Raises CannotJudge if it cannot be written; it is then as it was.
    """
    # Imported here: hardly any check writes a file.
    from pathlib import Path

    # The file that a link leads to.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise CannotJudge(f"{printable(path)} cannot be replaced: it is no regular file")
    scratch = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        with scratch.open("xb") as file:
            with suppress(FileNotFoundError):
                _take_over(target.stat(), file.fileno())
            file.write(text.encode())
            file.flush()
            # Not even a power failure leaves an empty list.
            os.fsync(file.fileno())
        scratch.replace(target)
    except OSError as error:
        raise CannotJudge(f"{printable(path)} cannot be replaced in its folder: {error.strerror}") from None
    finally:
        with suppress(OSError):
            scratch.unlink()


def _take_over(old: os.stat_result, fd: int) -> None:
    # Only root can give a file away.
    with suppress(PermissionError):
        os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, old.st_mode & 0o777)
