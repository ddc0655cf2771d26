"""`python -m check_celery_workers` is the same as the installed command."""

import sys

from check_celery_workers.cli import main

if __name__ == "__main__":
    sys.exit(main())
