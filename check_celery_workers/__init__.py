"""Nagios/Icinga check: are all Celery workers there that should be?"""

__version__ = "1.0.0"
