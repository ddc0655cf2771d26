"""How many examples Hypothesis tries, and which."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0"))


def examples(number: int) -> settings:
    """Return so many, the same in every run; where the environment asks for a number, that many, others each time."""
    return settings(
        max_examples=_EXAMPLES or number,
        derandomize=not _EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
