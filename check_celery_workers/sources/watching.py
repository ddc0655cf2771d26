"""Workers under suspicion, looked at again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from check_celery_workers.errors import SourceError
from check_celery_workers.node import first_of
from check_celery_workers.replies.inquiry import Inquiry, Look
from check_celery_workers.sources.progress import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The node names of those under suspicion, with the queues that each consumes from.
    Suspects = Mapping[str, Collection[str]]

# For how many seconds answers are awaited at each look.
PATIENCE = 2.0
# How many seconds are between two looks at least, how many workers are asked in a second, and how often at most.
_PACE = 1.0
_A_SECOND = 50
_MOST_LOOKS = 60


def watch(  # noqa: PLR0913, PLR0917 -- who, how, and for how long
    inquiry: Inquiry,
    look_at: Callable[[Suspects, float], tuple[Look, SourceError | None]],
    suspects: Callable[[Sequence[Look]], Suspects],
    seconds: float,
    deadline: float,
    progress: Progress | None = None,
) -> None:
    """Look on until nobody is under suspicion, at most so many seconds, and note each look in the inquiry.

    look_at: looks at those under suspicion at a time, and returns what they show and what went wrong
    suspects: tells from all looks by now who is under suspicion
    deadline: the end in any case; like all times one of `time.monotonic`, in seconds
    """
    inquiry.looks.append(Look(time.monotonic(), inquiry.replies))
    at, end = time.monotonic(), math.inf
    while under_suspicion := suspects(inquiry.looks):
        if progress:
            progress.show(f"watching {first_of(under_suspicion)}")
        began = max(at, time.monotonic())
        look, failure = look_at(under_suspicion, at)
        if not failure:
            inquiry.looks.append(look)
        end = min(end, look.when + seconds)
        if failure and look.when < deadline:
            inquiry.watch_failure = failure
        pace = max(_PACE, seconds / _MOST_LOOKS, len(under_suspicion) / _A_SECOND)
        at = min(end, max(began + pace, look.when))
        if failure or began >= end or at >= deadline:
            break
