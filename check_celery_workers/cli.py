"""The command line: standard streams and exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Sequence

from check_celery_workers.errors import CannotJudge, HelpAsked
from check_celery_workers.report.verdict import unknown
from check_celery_workers.sources.stream import is_writable

UNKNOWN = 3

# How many bytes a pipe takes without waiting, if it takes any.
_AT_ONCE = 4096
# How often it may fail to write: what is lacking for a moment costs no verdict.
_TRIES = 2
# For how many seconds to write where nobody has said how long the check may take, and where no time is left.
_LONGEST_WRITE = 30.0
_LEAST = 0.5
# What is said where no reason could be put together.
_NO_REASON = b"CELERY WORKERS UNKNOWN - the check failed, memory or descriptors may be lacking\n"


def run() -> None:
    """Run the check, and end the process with its exit code.

    Skip interpreter shutdown, a tenth of a small check: everything is written and nothing is left running.
    """
    # In a large fleet, garbage collection took half the time and found nothing.
    gc.disable()
    code = UNKNOWN
    try:
        code = main()
    except BaseException:
        if is_writable(1, time.monotonic() + _LEAST):
            os.write(1, _NO_REASON)
    finally:
        os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check with these arguments, by default those of the process; return the exit code.

    Whatever happens is reported on standard output; if that fails, the exit code is UNKNOWN.
    """
    if sys.stdout is None:
        return UNKNOWN
    verbose, code, deadline = 0, UNKNOWN, time.monotonic() + _LONGEST_WRITE
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _reserve_streams()
        # What takes long to import: without garbage collection, and an interrupt is answered.
        from check_celery_workers import check
        from check_celery_workers.settings.settings import parse

        settings = parse(sys.argv[1:] if argv is None else argv)
        verbose, deadline = settings.verbose, settings.deadline
        output, code = check.describe(settings) if settings.baseline is not None else check.judge_workers(settings)
    except HelpAsked as asked:
        output = str(asked)
    except CannotJudge as error:
        output = unknown(str(error)).output()
    except (KeyboardInterrupt, MemoryError) as error:
        output = unknown("not enough memory" if isinstance(error, MemoryError) else "interrupted").output()
    except Exception as error:
        output = _explain(error, verbose)
    return code if _write(output, max(deadline, time.monotonic() + _LEAST)) else UNKNOWN


def _explain(error: Exception, verbose: int) -> str:
    from traceback import format_exc

    from check_celery_workers.replies.quote import quotable

    message = quotable(" ".join(str(error).split()))
    if isinstance(error, OSError):
        reason = f"the operating system refused: {message.partition('] ')[2] or message}"
    elif isinstance(error, ImportError):
        reason = f"a module cannot be imported: {message}"
    elif isinstance(error, SystemError):
        reason = f"Python itself failed: {message}"
    else:
        reason = f"a bug, please report it: {type(error).__name__}: {message}"
    trace = format_exc().splitlines() if verbose >= 3 else ()
    return unknown(reason).output() + "".join(f"{quotable(line)}\n" for line in trace)


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


def _write(output: str, deadline: float) -> bool:
    """Write to standard output until the deadline, a time of `time.monotonic`; return whether all of it was taken.

    In UTF-8 whatever the locale, as Icinga and Nagios read it. Python's buffer would report errors too late.
    """
    data, failures = output.encode(), 0
    while data and failures < _TRIES:
        try:
            if not is_writable(1, deadline):
                break
            data = data[os.write(1, data[:_AT_ONCE]) :]
        except OSError:
            failures += 1
    return not data
