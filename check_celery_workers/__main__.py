"""Where the installed command begins, and `python -m check_celery_workers`.

This file is valid in every Python from 2.7, so that an old one gets an answer that a monitoring system can read.
"""

import io
import os
import signal
import sys


def run():  # type: ignore[no-untyped-def] # noqa: ANN201 -- Python 2 has no annotations
    """Run the check, and end the process with its exit code."""
    if sys.version_info < (3, 9):
        sys.stdout.write(
            "CELERY WORKERS UNKNOWN - Python 3.9 or later is needed, this is %d.%d\n" % sys.version_info[:2]  # noqa: UP031
        )
        sys.exit(3)
    try:
        # Nothing but the verdict is printed, whatever a library or Python itself has to say.
        sys.unraisablehook = lambda _: None
        if sys.stderr is not None:
            sys.stderr = io.StringIO()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # Until the check can answer an interrupt, it ends the process without a word.
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        from check_celery_workers import cli
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        try:
            os.write(1, "CELERY WORKERS UNKNOWN - the plugin cannot be loaded: {}\n".format(reason).encode())
        finally:
            os._exit(3)
    cli.run()


if __name__ == "__main__":
    run()  # type: ignore[no-untyped-call]
