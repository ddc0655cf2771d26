"""The questions that Celery is asked, `celery inspect QUESTION`, and how COMMAND shows which one."""

from __future__ import annotations

import re
from collections.abc import Sequence

# It answers all that `ping` does, and shows queues.
ACTIVE_QUEUES = "active_queues"
# It shows running tasks.
ACTIVE = "active"

PLACEHOLDER = "{}"

_INSPECT = (
    r"\binspect\s(?:.*?\s)??(active_queues|active|clock|conf|memdump|memsample|objgraph|ping|query_task|registered|report|"
    r"reserved|revoked|scheduled|stats)\b"
)


def has_placeholder(command: Sequence[str]) -> bool:
    """Return whether COMMAND leaves it to the plugin which question to ask."""
    return any(PLACEHOLDER in word for word in command)


def fill_in(command: Sequence[str], question: str | None) -> list[str]:
    """Return COMMAND with the question in place of each `{}`."""
    return [word.replace(PLACEHOLDER, question) if question else word for word in command]


def question_of(command: Sequence[str]) -> str | None:
    """Return the question that COMMAND asks, None if it shows none or several.

    ["celery", "-A", "proj", "inspect", "-t", "5", "active_queues"] -> "active_queues"
    """
    questions = set(re.findall(_INSPECT, " ".join(command)))
    return questions.pop() if len(questions) == 1 else None
