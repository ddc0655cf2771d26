r"""The text of `celery status`, line by line, to who answered.

The same worker as each Celery prints it, the last line closing the output:

    3.1         \x1b[1;36mcelery@serverC: \x1b[0m\x1b[1;32mOK\x1b[0m        (coloured even in a pipe)
    4.x         celery@serverC: OK
    5.x         ->  celery@serverC: OK
    5.x -q       celery@serverC: OK
    --json      {"celery@serverC": {"ok": "pong"}}                      (5.x)
                (an empty line)
                1 node online.

`celery inspect ping` and `celery inspect active_queues` print the same, with the reply on the lines below each node:

    ->  celery@serverC: OK
        - empty -

Nobody answering is `Error: No nodes replied within time constraint` on standard error, with a full stop before 5.0.
Two workers of one name answer twice; in JSON only a warning on standard error tells, since 4.0:

    .../control.py:56: DuplicateNodenameWarning: Received multiple replies from node name: celery@serverC.
"""

from __future__ import annotations

import json
import re
from collections import deque

from check_celery_workers.node import Worker, join, printable, split_index

# Of an answer what stands before its @, the server and the verdict, or else a whole line that is not blank. One call
# finds all lines of a text: to match them one by one takes a third longer.
_LINES = re.compile(r"^(?:-> {0,2}| )?([^@\s]+)@(\S+): (OK|ERROR)[^\S\n]*$|^(.*\S.*)$", re.MULTILINE).findall
_ONLINE = ("node online.", "nodes online.")
_NO_QUEUE = ("- empty -", "[]")
_NOBODY = "Error: No nodes replied within time constraint"
_DUPLICATES = "DuplicateNodenameWarning: Received multiple replies from node name"

# What few texts need is compiled when it is: that takes longer than all else that is done with a small text.
_NODE = r"[^@\s]+@\S+"
_CUT_JSON = r'\{"[^@\s"]+@[^\s"]+": ?[{\[]'
_TELLING = r"(?i)error|exception|denied|refused|not found|no such|unable|cannot|could not"
# Colours and other terminal sequences (ECMA-48), window titles, byte-order marks.
_NOISE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\ufeff"

# Of what is no status output so much is kept to find the reason in: more than a traceback has.
_OTHERS_KEPT = 500
_OTHERS_LENGTH = 1000

ANSWERED_ERROR = "it answered ERROR"
NO_QUEUE = "it consumes from no queue"


class Answers:
    """Who answered.

    workers: the indexes that answered of each worker, in digits as it wrote them, "" for a worker without one
    malfunctioning: node names, each with what is wrong with it
    duplicates: node names that more than one worker answers to
    """

    __slots__ = ("duplicates", "malfunctioning", "workers")

    def __init__(self) -> None:
        self.workers: dict[Worker, set[str]] = {}
        self.malfunctioning: dict[str, str] = {}
        self.duplicates: set[str] = set()

    def __len__(self) -> int:
        """Return how many node names answered."""
        return count(self.workers)


def count(workers: dict[Worker, set[str]]) -> int:
    """Return how many instances these workers have."""
    return sum(map(len, workers.values()))


def add(workers: dict[Worker, set[str]], others: dict[Worker, set[str]]) -> None:
    """Add the others' instances to those of the workers."""
    for worker, indexes in others.items():
        workers.setdefault(worker, set()).update(indexes)


class Status:
    """What one or several status outputs, one after another, say.

    nobody: an output said that no worker replied
    empty: there was no text but blank lines
    truncated: how the text shows that a part of it is missing; None where it does not
    """

    def __init__(self, answers: Answers) -> None:
        """`answers` are those that came before, to which this text's are added."""
        self.nobody = False
        self.empty = True
        self.truncated: str | None = None
        self._answers = answers
        # The workers of the output that is being read: the first one's are the answers, so that nothing is held twice.
        self._output = {} if answers.workers else answers.workers
        self._heard = False
        self._latest: tuple[Worker, str] | None = None
        self._others: deque[str] = deque(maxlen=_OTHERS_KEPT)

    @property
    def answers(self) -> Answers:
        """Who answered so far, in this text or before it."""
        if self._output is not self._answers.workers:
            add(self._answers.workers, self._output)
        return self._answers

    @property
    def doubt(self) -> str | None:
        """Why the text does not let it judge, in one line; None where it does."""
        if self.truncated or self.empty or self.nobody or self._heard or self._output:
            return self.truncated
        return f"no worker's answer in the status text: {self.reason}"

    @property
    def reason(self) -> str:
        """The last telling line among those that are neither an answer nor what else a status output has, or ""."""
        lines = list(reversed(self._others))
        telling = next((line for line in lines if re.search(_TELLING, line)), lines[0] if lines else "")
        return printable(" ".join(telling.split()), 300)

    def feed(self, text: str) -> None:
        """Read on: text of whole lines."""
        if "\x1b" in text or not text.isascii():
            text = re.sub(_NOISE, "", text)
        if "\r" in text:
            text = text.replace("\r", "\n")
        self.empty = self.empty and (not text or text.isspace())
        workers = self._output
        latest = self._latest
        for indexed, server, verdict, other in _LINES(text):
            if indexed:
                name, digits = split_index(indexed)
                worker = (name, server)
                latest = (worker, digits)
                indexes = workers.get(worker)
                if indexes is None:
                    workers[worker] = {digits}
                elif digits in indexes:
                    self._answers.duplicates.add(join(worker, digits))
                else:
                    indexes.add(digits)
                if verdict == "ERROR":
                    self._answers.malfunctioning[join(worker, digits)] = ANSWERED_ERROR
            else:
                self._latest = latest
                self._feed_other(other)
                workers, latest = self._output, self._latest
        self._latest = latest

    def _feed_other(self, line: str) -> None:
        if line.startswith('{"') and self._feed_json(line):
            return
        told = line.strip()
        number, _, online = told.partition(" ")
        if online in _ONLINE and number.isdecimal():
            self._close(claimed=int(number[:18]))
        elif told.rstrip(".") == _NOBODY:
            self._close()
            self.nobody = True
        elif told in _NO_QUEUE and self._latest and line[0].isspace():
            self._answers.malfunctioning[join(*self._latest)] = NO_QUEUE
        elif _DUPLICATES in told:
            names = told.partition(_DUPLICATES)[2].partition(": ")[2].removesuffix(".")
            self._answers.duplicates.update(name for name in names.split(", ") if re.fullmatch(_NODE, name))
        else:
            self._others.append(line[:_OTHERS_LENGTH])

    def _feed_json(self, line: str) -> bool:
        """Read every node's reply from a line of JSON, which is one whole output; return False where it is none."""
        try:
            replies = json.loads(line)
        except (ValueError, RecursionError):
            if re.match(_CUT_JSON, line):
                self.truncated = "the status text is not whole: its JSON breaks off"
            return False
        if not all(re.fullmatch(_NODE, node) and isinstance(reply, (dict, list)) for node, reply in replies.items()):
            return False
        self._close()
        for node, reply in replies.items():
            name, _, server = node.partition("@")
            name, digits = split_index(name)
            self._output.setdefault((name, server), set()).add(digits)
            if reply == []:
                self._answers.malfunctioning[node] = NO_QUEUE
            elif "error" in reply:
                self._answers.malfunctioning[node] = ANSWERED_ERROR
        return True

    def _close(self, claimed: int = 0) -> None:
        """End the output that is being read, which says that so many nodes are online."""
        read = count(self._output)
        if claimed > read:
            self.truncated = f"the status text is not whole: it names {read} of the {claimed} nodes that it counts"
        if self._output is not self._answers.workers:
            add(self._answers.workers, self._output)
        if read:
            self._heard = True
            self._output = {}
        self._latest = None
