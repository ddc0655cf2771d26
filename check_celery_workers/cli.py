"""The command line: standard streams and exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from check_celery_workers.errors import CannotJudge, HelpAsked
from check_celery_workers.report.verdict import unknown

UNKNOWN = 3


def run() -> None:
    """Run the check, and end the process with its exit code.

    Skip interpreter shutdown, a tenth of a small check: everything is written and nothing is left running.
    """
    # In a large fleet, garbage collection took half the time and found nothing.
    gc.disable()
    os._exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check with these arguments, by default those of the process; return the exit code.

    Whatever happens is reported on standard output; if that fails, the exit code is UNKNOWN.
    """
    if sys.stdout is None:
        return UNKNOWN
    verbose, code = 0, UNKNOWN
    try:
        _reserve_streams()
        # What takes long to import: without garbage collection, and an interrupt is answered.
        from check_celery_workers import check
        from check_celery_workers.settings.settings import parse

        settings = parse(sys.argv[1:] if argv is None else argv)
        verbose = settings.verbose
        output, code = check.describe(settings) if settings.baseline else check.judge_workers(settings)
    except HelpAsked as asked:
        output = str(asked)
    except CannotJudge as error:
        output = unknown(str(error)).output()
    except (KeyboardInterrupt, MemoryError) as error:
        output = unknown("not enough memory" if isinstance(error, MemoryError) else "interrupted").output()
    except Exception as error:
        output = _explain_bug(error, verbose)
    return code if _write(output) else UNKNOWN


def _explain_bug(error: Exception, verbose: int) -> str:
    from traceback import format_exc

    from check_celery_workers.replies.quote import quotable

    message = quotable(" ".join(str(error).split()))
    output = unknown(f"a bug, please report it: {type(error).__name__}: {message}").output()
    return output + "".join(f"{quotable(line)}\n" for line in (format_exc().splitlines() if verbose >= 3 else ()))


def _reserve_streams() -> None:
    """Reserve the descriptors of closed standard streams, so that no file takes their place.

    Raises CannotJudge if that is not possible.
    """
    if sys.stdin is None or sys.stderr is None:
        try:
            fd = os.open(os.devnull, os.O_RDWR)
        except OSError as error:
            raise CannotJudge(f"a standard stream is closed, and {os.devnull}: {error.strerror}") from None
        while fd <= 2:
            fd = os.dup(fd)
        os.close(fd)


def _write(output: str) -> bool:
    """Write to standard output; return whether all of it was taken.

    In UTF-8 whatever the locale, as Icinga and Nagios read it. Python's buffer would report errors too late.
    """
    data = output.encode()
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True
