r"""The text of `celery status` and `celery inspect`, line by line, to facts: who replied what, and how it ended.

The same worker as each Celery prints it, and the last line of the output:

    3.1         \x1b[1;36mcelery@serverC: \x1b[0m\x1b[1;32mOK\x1b[0m        (coloured even in a pipe)
    4.x         celery@serverC: OK
    5.x         ->  celery@serverC: OK
    5.x -q       celery@serverC: OK
    --json      {"celery@serverC": {"ok": "pong"}}                      (5.x)
                1 node online.                                          (after an empty line)

`celery inspect` prints what each worker replied on the lines below its node (see `reply`); 3.1 and 4.x put `-> ` before
the node and print no last line:

    ->  celery@serverC: OK
        - empty -

`Error: No nodes replied within time constraint` says that nobody replied, with a full stop before 5.0. Two workers of
one name reply twice; in JSON only a warning on standard error shows it, since 4.0:

    .../control.py:56: DuplicateNodenameWarning: Received multiple replies from node name: celery@serverC.

A text holds one or several outputs. Each ends whole, with nobody, failed, or cut.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from check_celery_workers.node import Group, node_name, split_index, split_node
from check_celery_workers.replies.body import DUPLICATES, EMPTY, Replies, duplicates_in, read_item, read_json, read_line
from check_celery_workers.replies.question import ACTIVE, ACTIVE_QUEUES
from check_celery_workers.replies.quote import TRACEBACK, is_behind_text, is_unhandled, plain, reason

# Groups: the arrow, the node in two parts, the verdict; or else any other line that is not blank. One call finds all
# lines of a text: to match them one by one takes a third longer.
_find_lines = re.compile(
    r"^(?:(->  ?)(?=\S)|(?:->| )?(?=[^@\s]+@\S+: \S+\s*$))([^@\n]*)(@.*)?: (OK|ERROR)[^\S\n]*$|^(.*\S.*)$", re.MULTILINE
).findall
_ARROW_4, _ARROW_5, _JSON = "-> ", "->  ", "{"
_ONLINE = ("node online.", "nodes online.")
_NOBODY = "Error: No nodes replied within time constraint"

# How many other lines to keep for the reason, more than a traceback has, and how much of each.
_OTHERS_KEPT, _OTHERS_LENGTH = 500, 1000


class Status:
    """The outputs of one text.

    replied, nobody: whether any worker replied; whether an output said that nobody did, before any reply
    outputs, silent_outputs: how many outputs there were; in how many of them nobody replied, after others had
    failed: an output failed after a reply was read
    cut: how the text shows that a part of it is missing; None if it does not
    hides: the part that is missing may be one of the last worker's reply, so that what is wrong with it is not known
    empty: there was no text but blank lines
    bare: the last line read was that of a node, so that what it replied may be still to come
    """

    def __init__(
        self, replies: Replies, question: str | None = None, notice: Callable[[Group, str], None] | None = None
    ) -> None:
        """Add to `replies`; `question` is what Celery was asked, if known; `notice` is called for each new node."""
        self.replied = self.nobody = self.failed = self.hides = self.bare = False
        self.outputs = self.silent_outputs = 0
        self.cut: str | None = None
        self.empty = True
        self._complete = self._breaks_off = False
        self._replies, self._question, self._notice = replies, question, notice
        self._others: deque[str] = deque(maxlen=_OTHERS_KEPT)
        self._before = ""
        self._begin()

    def _begin(self) -> None:
        """Begin an output; the first one is read straight into the replies, so that nothing is held twice."""
        self._output: dict[Group, set[str]] = {} if self._replies.count else self._replies.groups
        # A reply needs no more than to be put into the replies.
        self._is_simple = self.replied and self._output is self._replies.groups and not self._notice
        self._latest: tuple[Group, str] | None = None
        self._arrow = ""
        self._answered: set[str] = set()
        self._without: set[str] = set()
        self._shows_queues = self._may_have_failed = False

    @property
    def reason(self) -> str:
        """The line that says best what went wrong, among those that no output consists of, or ""."""
        return reason(list(self._others), self.replied)

    def feed(self, text: str) -> None:
        """Read on: text of whole lines, the last one of which may lack its end if the text ends there."""
        text = plain(text)
        self.empty = self.empty and (not text or text.isspace())
        for arrow, name, at_server, verdict, other in _find_lines(text):
            if not verdict:
                self._read_other(other)
            elif ": " in name or ": " in at_server:
                # Two replies on one line.
                self._read_other(f"{arrow}{name}{at_server}: {verdict}")
            else:
                stem, digits = split_index(name)
                group = (stem, at_server)
                indexes = self._output.get(group)
                if not self._is_simple or arrow != self._arrow or (indexes and digits in indexes) or verdict != "OK":
                    self._add(arrow, group, digits, verdict)
                    continue
                # The short way, for most lines of a large fleet.
                if indexes is None:
                    self._output[group] = {digits}
                else:
                    indexes.add(digits)
                self._replies.count += 1
                self._latest = (group, digits)
                self.bare = True
        if text and not text.endswith("\n") and not (self.bare or self._complete) and text.rpartition("\n")[2].strip():
            self._breaks_off = text.rpartition("\n")[2].startswith("    ")
            self.cut = self.cut or "its last line breaks off"

    def finish(self, whole: bool) -> None:
        """Note the end of the text; `whole` if it is known from elsewhere that nothing is missing at its end."""
        lacks_body = (self.bare and self._answered) or self._breaks_off or self._replies.tasks
        may_hide = bool(self._output and self._latest and lacks_body)
        self._close(whole=whole)
        self.hides = may_hide and self.cut is not None

    def _add(self, arrow: str, group: Group, digits: str, verdict: str) -> None:
        if arrow != self._arrow:
            # An output has one form.
            if self._output:
                self._close()
            self._arrow = arrow
        indexes = self._output.setdefault(group, set())
        if digits not in indexes:
            indexes.add(digits)
            self._note_node(group, digits)
        elif self._may_have_failed or (arrow == _ARROW_4 and node_name(group, digits) in self._answered):
            self._close()
            self._add(arrow, group, digits, verdict)
            return
        else:
            self._replies.duplicates.add(node_name(group, digits))
        if verdict == "ERROR":
            self._replies.errors.add(node_name(group, digits))
        self._latest = (group, digits)
        self.bare = True
        if not self.replied:
            # What failed before is forgiven: this is a retry.
            self.replied = True
            self.failed = False
            self._is_simple = self._output is self._replies.groups and not self._notice

    def _note_node(self, group: Group, digits: str) -> None:
        """Note a node that is new to this output, and maybe to all."""
        if self._output is not self._replies.groups:
            indexes = self._replies.groups.setdefault(group, set())
            if digits in indexes:
                return
            indexes.add(digits)
        self._replies.count += 1
        if self._notice:
            self._notice(group, digits)

    def _read_other(self, line: str) -> None:
        before = "" if self.bare else self._before
        self._before = ""
        self.bare = self._complete = False
        told = line.strip()
        number, _, online = told.partition(" ")
        if line.startswith('{"') and self._read_json(line):
            pass
        elif online in _ONLINE and number.isdecimal():
            self._complete = True
            self._close(claimed=int(number[:18]))
        elif told.rstrip(".") == _NOBODY:
            self._complete = True
            self._close()
            self.outputs += 1
            self.silent_outputs += self.replied
            self.nobody = self.nobody or not self.replied
        elif self._latest and line.startswith(("    ", "\t")):
            self._read_body(node_name(*self._latest), told)
        elif DUPLICATES in told:
            self._replies.duplicates.update(duplicates_in(told))
        else:
            self._before = line
            self._pass_over(line, before)

    def _read_body(self, node: str, line: str) -> None:
        self._answered.add(node)
        item = read_line(line) if line.startswith("* ") else None
        if line in EMPTY:
            self._without.add(node)
        elif item is not None:
            self._shows_queues = self._replies.add_item(node, item) or self._shows_queues

    def _read_json(self, line: str) -> bool:
        """Read every node's reply from a line of JSON, which is one whole output; return False if it is none."""
        try:
            replies = read_json(line)
        except ValueError:
            self.cut = self.cut or "its JSON breaks off"
            return False
        if not replies:
            return False
        self._close()
        for node, reply in replies.items():
            self._add(_JSON, *split_node(node), "ERROR" if "error" in reply else "OK")
            if reply == []:
                self._without.add(node)
            for item in reply if isinstance(reply, list) else ():
                found = read_item(item)
                if found is not None:
                    self._shows_queues = self._replies.add_item(node, found) or self._shows_queues
        self.bare = False
        self._complete = True
        return True

    def _pass_over(self, line: str, before: str) -> None:
        self._others.append(line[:_OTHERS_LENGTH])
        if line.startswith("Error:") or (line.startswith(TRACEBACK) and is_unhandled(before)):
            self._latest = None
            if self._output:
                self._may_have_failed = True
            elif self.replied or self.nobody:
                self.failed = True
                self.outputs += 1
        elif self.replied and (": OK" in line or ": ERROR" in line) and is_behind_text(line):
            self.cut = self.cut or "a reply stands behind other text on its line"

    def _close(self, claimed: int | None = None, whole: bool = False) -> None:
        """End the output, which claims so many nodes if it says so; `whole` if nothing is missing at its end."""
        replies = self._replies
        read = sum(map(len, self._output.values()))
        if claimed is not None and claimed > read:
            self.cut = self.cut or f"it names {read} of the {claimed} nodes that it counts"
        elif claimed is None and read and self._arrow == _ARROW_5 and not (whole or self._may_have_failed):
            self.cut = self.cut or "its closing line is missing, cut by a timeout or filtered"
        if self._may_have_failed and (claimed is None or claimed < read):
            self.failed = True
        self.outputs += bool(read)
        if self._question == ACTIVE_QUEUES or self._shows_queues:
            replies.without_queue |= self._without
            replies.tell_queues = True
        elif self._question == ACTIVE or (self._question is None and self._without):
            replies.tell_tasks = True
        self._begin()
