"""`python -m check_celery_workers` is the same as the installed command."""

from check_celery_workers.cli import run

if __name__ == "__main__":
    run()
