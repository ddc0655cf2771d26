r"""The text of `celery status` and `celery inspect`, line by line, to outputs: facts only.

The same worker as each Celery prints it, and the last line of the output:

    3.1         \x1b[1;36mcelery@serverC: \x1b[0m\x1b[1;32mOK\x1b[0m        (coloured even in a pipe)
    4.x         celery@serverC: OK
    5.x         ->  celery@serverC: OK
    5.x -q       celery@serverC: OK
    --json      {"celery@serverC": {"ok": "pong"}}                      (5.x)
                1 node online.                                          (after an empty line)

`celery inspect` prints what each worker replied on the lines below its node (see `item`); 3.1 and 4.x put `-> `
before the node and print no last line.

`Error: No nodes replied within time constraint` says that nobody replied, with a full stop before 5.0. Two workers of
one name reply twice; in JSON only a warning on standard error shows it, since 4.0:

    .../control.py:56: DuplicateNodenameWarning: Received multiple replies from node name: celery@serverC.
"""

from __future__ import annotations

import re
from collections import deque

from check_celery_workers.errors import SourceError
from check_celery_workers.expected.awaited import Awaited
from check_celery_workers.node import Group, node_name, split_index, split_node
from check_celery_workers.replies.failure import NOBODY, Failures, form_behind
from check_celery_workers.replies.inquiry import Text
from check_celery_workers.replies.item import EMPTY, Item, read_item, read_json, read_line
from check_celery_workers.replies.output import ARROW_5, Output
from check_celery_workers.replies.question import ACTIVE, Question
from check_celery_workers.replies.side_by_side import SideBySide

# Groups: the arrow, the node in two parts, the verdict; or else any other line, which may be blank. One call finds all
# lines of a text: to match them one by one takes a third longer.
_find_lines = re.compile(
    r"^(?:(->  ?)(?=\S)|(?:->| )?(?=[^@\s]+@\S+: \S+[^\S\n]*$))([^@\n]*)(@.*)?: (OK|ERROR)[^\S\n]*$|^(?!\Z)(.*)$",
    re.MULTILINE,
).findall
_ARROW_4, _JSON = "-> ", "{"
# Something may be glued behind each of these.
_CLOSING = r"([0-9]{1,18}) nodes? online\."
_NOBODY = rf"(?:Error: )?{NOBODY}"
_DUPLICATES = "DuplicateNodenameWarning: Received multiple replies from node name"

# Colours and other terminal sequences (ECMA-48), window titles, byte-order marks.
_TERMINAL = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\ufeff"

# How many other lines to keep for the reason, more than a traceback has, and how much of each.
_OTHERS_KEPT, _OTHERS_LENGTH = 500, 1000


class TextReader:
    """Reads a text, in pieces of whole lines, to its outputs."""

    def __init__(
        self, question: Question | None = None, awaited: Awaited | None = None, assumed: Question = ACTIVE
    ) -> None:
        """`question` is what Celery was asked, if known; `awaited` is told of what comes, as it comes.

        assumed: what was asked if nobody lists anything
        """
        self.awaits_body = False  # whether the last line was that of a node, so that what it replied may still come
        self.is_listing, self.listed = False, 0  # whether it was an item of a list, which may go on; how many there are
        self._question, self._awaited, self._assumed = question, awaited, assumed
        self._outputs: list[Output] = []
        self._open = Output()
        self._latest: tuple[Group, str] | None = None
        self._others: deque[str] = deque(maxlen=_OTHERS_KEPT)
        self._unended = ""
        self._failures, self._side_by_side = Failures(), SideBySide()
        self._may_have_failed = False  # whether a traceback may have ended a program, if nothing of Celery's follows
        self._lengths: dict[str, int | None] = {}
        self._is_blank, self._is_closed = True, False

    def feed(self, text: str) -> None:
        """Read on: text of whole lines, the last one of which may lack its end if the text ends there."""
        # Without terminal sequences, and with line ends alone for carriage returns.
        if "\x1b" in text or not text.isascii():
            text = re.sub(_TERMINAL, "", text)
        if "\r" in text:
            text = text.replace("\r", "\n")
        self._is_blank = self._is_blank and (not text or text.isspace())
        self._unended = text.rpartition("\n")[2]
        groups, form, latest = self._open.replies.groups, not self._awaited and self._open.form, None
        for arrow, name, at_server, verdict, other in _find_lines(text):
            if verdict == "OK" and arrow == form:
                stem, digits = split_index(name)
                group = (stem, at_server)
                indexes = groups.get(group)
                if indexes is None and ": " not in name and ": " not in at_server:
                    indexes = groups[group] = set()
                if indexes is not None and digits not in indexes:
                    # The short way, for most lines of a large fleet.
                    indexes.add(digits)
                    latest = (group, digits)
                    continue
            if latest:
                self._latest, self.awaits_body, self.is_listing = latest, True, False
                latest = None
            if not verdict or ": " in name or ": " in at_server:
                # Another line, or two replies on one line.
                self._read_other(f"{arrow}{name}{at_server}: {verdict}" if verdict else other)
            else:
                stem, digits = split_index(name)
                self._add(arrow, (stem, at_server), digits, verdict)
            groups, form = self._open.replies.groups, not self._awaited and self._open.form
        if latest:
            self._latest, self.awaits_body, self.is_listing = latest, True, False

    @property
    def is_whole(self) -> bool:
        """Whether every output by now has come to its end."""
        # Nothing comes behind JSON.
        return self._is_closed and (not self._open or self._open.form == _JSON)

    def finish(self, failure: SourceError | None, whole: bool, ended_well: bool) -> Text:
        """Return the text, which has ended.

        failure: how its source failed; whole: it is known from elsewhere that nothing is missing at its end
        ended_well: what printed it has ended with status 0: a traceback behind it is noise at the exit
        """
        output = self._open
        if self._may_have_failed and not (ended_well and self._outputs and not output):
            self._fail()
        begins = bool(output) or self._unended.startswith("->")
        breaks_off = bool(self._unended.strip()) and begins and not (self.awaits_body or self._is_closed)
        if breaks_off:
            output.doubt("its last line breaks off", at_end=True)
        lacks_body = (self.awaits_body and output.bodies) or (breaks_off and self._unended.startswith("    "))
        output.hides = output.hides or bool(self._latest and lacks_body)
        output.close(self._question, self._assumed, whole=whole)
        if output or output.end == Output.CUT or output.replies.duplicates:
            self._outputs.append(output)
        if self._lengths:
            self._outputs.append(Output.of_lengths(self._lengths))
        return Text(self._outputs, failure, list(self._others), self._is_blank)

    def _add(self, form: str, group: Group, digits: str, verdict: str) -> None:
        """Add a reply to the output that it belongs to; `form` is what stands before the node."""
        node = node_name(group, digits)
        self._may_have_failed = False
        if self._open and not form and self._open.form == ARROW_5:
            # In an output with arrows whatever has none is a line of a log.
            self._others.append(f"{node}: {verdict}"[:_OTHERS_LENGTH])
            return
        if self._open and not self._open.form and form in {_ARROW_4, ARROW_5}:
            self._retract()
        is_again = digits in self._open.replies.groups.get(group, ())
        # An output has one form. A node that comes again after an error, or after its body in 4.x, begins another.
        other_form = form != self._open.form and self._open
        if other_form or (is_again and (self._open.has_error or (form == _ARROW_4 and node in self._open.bodies))):
            self._close()
            is_again = False
        self._open.form = form
        if is_again:
            self._open.repeats += 1
            self._open.replies.duplicates.add(node)
        else:
            self._open.replies.groups.setdefault(group, set()).add(digits)
            if self._awaited:
                self._awaited.notice(group, digits)
        if verdict == "ERROR":
            self._open.replies.note_error(node)
        self._latest = (group, digits)
        self.awaits_body, self.is_listing = True, False

    def _read_other(self, line: str) -> None:
        """Read a line that is no reply."""
        said = line.strip()
        if not said:
            self._end_paragraph()
            return
        self.awaits_body = self.is_listing = self._is_closed = False
        closing = re.match(_CLOSING, line) if line[:1].isdecimal() else None
        if closing:
            self._close(claimed=int(closing[1]))
            self._is_closed = True
        elif NOBODY in line and re.match(_NOBODY, line):
            self._close()
            self._outputs.append(Output(Output.NOBODY))
            self._is_closed = True
        elif self._latest and line.startswith(("    ", "\t")):
            self._read_body(node_name(*self._latest), said)
        elif _DUPLICATES in said:
            self._open.replies.duplicates.update(_duplicates_in(said))
        elif not (line.startswith('{"') and self._read_json(line)) and not self._read_length(said):
            self._pass_over(line)

    def _read_body(self, node: str, line: str) -> None:
        if line in EMPTY:
            self._open.hold(node)
        elif line.startswith("* "):
            self.is_listing = True
            self.listed += 1
            self._hear(node, read_line(line))
        else:
            if node in self._open.replies.errors:
                self._open.replies.note_error(node, line)
            self._open.bodies.setdefault(node, None)

    def _hear(self, node: str, item: Item | None) -> None:
        if item is None:
            self._open.bodies.setdefault(node, None)
            self._open.unread.add(node)
            return
        self._open.hold(node, item)
        if self._awaited:
            self._awaited.hear(node, item)

    def _read_json(self, line: str) -> bool:
        """Read every node's reply from a line of JSON, which is one whole output; return False if it is none."""
        try:
            replies = read_json(line)
        except ValueError:
            self._open.doubt("its JSON breaks off")
            return False
        if not replies:
            return False
        self._close()
        for node, reply in replies.items():
            self._add(_JSON, *split_node(node), "OK")
            if isinstance(reply, dict) and "error" in reply:
                self._open.replies.note_error(node, reply["error"])
            if reply == []:
                self._open.hold(node)
            for item in reply if isinstance(reply, list) else ():
                self._hear(node, read_item(item))
        self.awaits_body = False
        self._is_closed = True
        return True

    def _read_length(self, line: str) -> bool:
        """Read what `celery amqp queue.declare` says of a queue; return False if the line does not.

        ok. queue:emails messages:7 consumers:1.         on standard error of 3.1 and 4.x; 5.x without "ok. " and "."
        ERROR: Channel.queue_declare: (404) NOT_FOUND - no queue 'emails' in vhost '0'
        """
        if "queue:" in line:
            length = re.fullmatch(r"(?:ok\. )?queue:(\S.*) messages:([0-9]{1,18}) consumers:[0-9]+\.?", line)
            if length:
                self._lengths[length[1]] = int(length[2])
                return True
        if "NOT_FOUND - no queue '" not in line:
            return False
        name, _, vhost = line.partition("NOT_FOUND - no queue '")[2].rstrip("'").partition("' in vhost '")
        # A number is that of a database of Redis, where a queue without messages does not exist.
        self._lengths[name] = 0 if vhost.isdecimal() else None
        return True

    def _end_paragraph(self) -> None:
        """Keep of blank lines that there were some: what an error says goes on up to there."""
        if self._others and self._others[-1]:
            self._others.append("")

    def _pass_over(self, line: str) -> None:
        """Keep a line that no output consists of, and note what it says of them."""
        line = line[:_OTHERS_LENGTH]
        self._others.append(line)
        found = self._failures.read(line)
        if found == Failures.MAYBE:
            self._may_have_failed = True
        elif found:
            self._fail(found == Failures.CERTAIN)
        elif ": OK" in line or ": ERROR" in line:
            form = form_behind(line)
            if form is not None:
                self._open.behind.add(form)
        if self._failures.is_within:
            self._latest = None

    def _fail(self, is_certain: bool = False) -> None:
        """Note that a program failed; if that `is_certain`, whatever replies later is of another one."""
        self._latest, self._may_have_failed = None, False
        if self._open:
            self._open.has_error = True
            if is_certain:
                self._close()
        elif not (self._failures.is_chained and self._outputs and self._outputs[-1].end == Output.FAILED):
            self._outputs.append(Output(Output.FAILED))

    def _retract(self) -> None:
        """Take back the replies of the output that is being read: they are none."""
        replies = self._open.replies
        for node in sorted(replies.nodes()):
            self._others.append(f"{node}: {'ERROR' if node in replies.errors else 'OK'}"[:_OTHERS_LENGTH])
        self._open = Output()
        if self._awaited:
            self._awaited.spoil()

    def _close(self, claimed: int | None = None) -> None:
        """End the output that is being read; before its first reply, what was noted is of the next one."""
        self._latest, self._may_have_failed = None, False
        if claimed is not None:
            claimed = self._side_by_side.claim(self._open, claimed, self._outputs)
        self._open.close(self._question, self._assumed, claimed)
        if self._open:
            self._outputs.append(self._open)
            self._open = Output()


def _duplicates_in(line: str) -> list[str]:
    """Return the node names in Celery's warning of duplicates, which may stand inside a line of JSON."""
    names = re.split(r"""["'\\]""", line.partition(_DUPLICATES)[2].partition(": ")[2])[0]
    return [name for name in names.removesuffix(".").split(", ") if name]
