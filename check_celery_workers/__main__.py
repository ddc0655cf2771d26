"""`python -m check_celery_workers` is the same as the installed command.

This file is valid in every Python from 2.7, so that an old one gets an answer that a monitoring system can read.
"""

import sys

if __name__ == "__main__":
    if sys.version_info < (3, 9):
        sys.stdout.write(
            "CELERY WORKERS UNKNOWN - Python 3.9 or later is needed, this is %d.%d\n" % sys.version_info[:2]  # noqa: UP031
        )
        sys.exit(3)

    from check_celery_workers.cli import run

    run()
