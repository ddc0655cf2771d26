"""A Nagios/Icinga check for missing, unexpected and malfunctioning Celery workers."""

__version__ = "1.0.0"
