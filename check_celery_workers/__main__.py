"""Where the installed command begins, and `python -m check_celery_workers`.

This file is valid in every Python from 2.7, so that an old one gets an answer that a monitoring system can read.
"""

import signal
import sys


def run():  # type: ignore[no-untyped-def] # noqa: ANN201 -- Python 2 has no annotations
    """Run the check, and end the process with its exit code."""
    if sys.version_info < (3, 9):
        sys.stdout.write(
            "CELERY WORKERS UNKNOWN - Python 3.9 or later is needed, this is %d.%d\n" % sys.version_info[:2]  # noqa: UP031
        )
        sys.exit(3)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the check can answer an interrupt, it ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    try:
        from check_celery_workers import cli
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with what is installed
        reason = " ".join(str(error).split())
        sys.stdout.write(
            "CELERY WORKERS UNKNOWN - the plugin cannot be loaded: %s: %s\n" % (type(error).__name__, reason)  # noqa: UP031
        )
        sys.exit(3)
    cli.run()


if __name__ == "__main__":
    run()  # type: ignore[no-untyped-call]
