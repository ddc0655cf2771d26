"""Hosts that were asked side by side: the replies to one stand in the output of another.

->  w@app1: OK       the reply to the first
->  w@app2: OK       the reply to the second
1 node online.       the end of the first, which has one more than it claims
1 node online.       the end of the second, which has none of its own
"""

from __future__ import annotations

from collections.abc import Sequence

from check_celery_workers.replies.output import Output


class SideBySide:
    """Counts how many replies more the outputs of a text have than they claim."""

    def __init__(self) -> None:
        self._replies = self._nodes = 0

    def claim(self, output: Output, claimed: int, before: Sequence[Output]) -> int:
        """Return how many replies an output claims as its own: what it lacks may stand in those `before` it.

        Their repeated nodes are no duplicates then. Where repeated nodes alone are too many before it, and it has a new
        one, another may be lacking all the same.
        """
        more, more_nodes = output.lines - claimed, output.lines - output.repeats - claimed
        if more >= 0:
            self._replies += more
            self._nodes += max(0, more_nodes)
            return claimed
        if self._replies + more < 0:
            return claimed
        self._replies += more
        for one in before:
            one.replies.duplicates.clear()
        seen = {node for one in before for node in one.replies.nodes()}
        if self._nodes + more_nodes < 0 and not output.replies.nodes() <= seen:
            return claimed
        self._nodes += more_nodes
        return output.lines
