"""When the files were last changed that change with each release."""

from __future__ import annotations

import os
from collections.abc import Iterable


def changes_of(files: Iterable[str]) -> dict[str, float | str]:
    """Return when each was last changed, a Unix time in seconds, or the reason why nobody can know.

    Of a link its own time counts: a release moves it to another folder, and that folder may be older.
    """
    return {file: _change_of(file) for file in files}


def _change_of(file: str) -> float | str:
    try:
        return os.lstat(file).st_mtime
    except OSError as error:
        return str(error.strerror)
    except ValueError:
        return "its name holds a NUL character"
