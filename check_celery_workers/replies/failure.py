r"""Lines that say that a program failed, and which of them is the reason.

    Error: Unable to load celery application.                 Celery, Click, and most other programs
    ssh: connect to host app2 port 22: Connection refused     a shell, ssh, sudo, a container
    Traceback (most recent call last):                        Python; the program's, if its outermost frame is
      File "/srv/shop/venv/bin/celery", line 8, in <module>

The reason is what the person on call needs. A program that says "Error" comes first. Then come the shells and
containers around it, then the exception that ended a program in Python, then the last line that says anything. Lines
that only report the end of something else, warnings and advice count only where nothing else is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from check_celery_workers.replies.quote import quotable

NOBODY = "No nodes replied within time constraint"
TRACEBACK = "Traceback (most recent call last):"
FRAME = 'File "'
CHAINED = ("During handling of the above exception", "The above exception was the direct cause")

# The outermost frame of a program: a script without .py in its name, or what `python -m`, `-c` and Django start.
_PROGRAM = (
    r'\s+File "(?:(?:<(?:string|stdin)>|(?:.*/)?(?:manage\.py|__main__\.py|[^/."]+))", line \d+, in <module>$|'
    r'(?:<frozen runpy>|.*/runpy\.py)", line \d+)'
)
_MODULE = r'\s+File ".*", line \d+, in <module>$'
_OVER_128 = r"(?:129|1[3-9]\d|2\d\d)\b"
# What programs around Celery say of their own failure.
_WRAPPER = (
    r"(?:\S*/)?-?(?:(?:ba|da|k|z|a)?sh|python[\d.]*|su|doas|docker|podman)(?:\[\d+\])?: (?!warning|0: getcwd)|"
    r"(?:\S*/)?(?:env|timeout|nohup): .*(?:No such file or directory|Permission denied|failed to run command)|"
    r"\S+: line \d+: (?!warning)|\S+: \d+: (?:\S+: ){0,2}(?:not found|Permission denied|cannot open|Syntax error)|"
    r"zsh:\d+: |sudo: (?!unable to resolve host)|ssh: |kex_exchange_identification: |"
    r"Connection (?:closed|reset) by .* port |Host key verification failed|[^\s@]+@\S+: Permission denied|"
    r"Error from server|Cannot connect to the Docker|service \S+ is not running|error: |Fatal Python error: |"
    rf"command terminated with exit code {_OVER_128}|(?:Killed|Terminated|Aborted|Segmentation fault|Bus error)\b"
)
# The same, each with a colon in or before it: unmistakable behind the name of a host, too, as pssh and Ansible write.
_ANYWHERE = (
    "ssh: connect to host ",
    "ssh: Could not resolve hostname ",
    ": Host key verification failed",
    ": Permission denied (publickey",
    "Error response from daemon: ",
    "OCI runtime exec failed: ",
)
_SIGNALLED = rf".*\b(?:status|code) {_OVER_128}"
# What is fatal is no less than an error: `Fatal Python error: ...`, `fatal: ...`, `panic: ...` of programs in Go.
_ERROR = r"(?:\S+: |[\d\W]*[\d\W] )?\[?(?:Error|ERROR|error|Fatal|FATAL|fatal|panic)\b\]?(?:\s*:\s*|\s+|$)(.*)"
# What only reports that something else ended, or that nobody replied, or points to what is above.
_REPORT = (
    rf"make(?:\[\d+\])?: \*\*\* |Connection to \S+ closed|(?:Error: )?{NOBODY}|Error ID: |"
    r".*\b[Ss]ee (?:\S+ ){0,2}above\b|"
    r".*(?:exited|ended|returned|failed|terminated)?\b(?: with|:)? (?:a )?(?:non-zero )?(?:return|exit) (?:code|status)"
)
_ADVICE = r"(?i)usage: |(?:type|try|see|note|hint|press) ?:? |.*for further information|.*warning\b|warnings\."
_FRAME = " \t|\u2502\u2503\u203a\u256d\u256e\u2570\u256f\u250c\u2510\u2514\u2518\u2500\u2501"
_SPREAD_JSON = r'\s+"[^"]+": [{\[](?:"ok"|\s*$)'
# Of each exception of a chain at most so much is said; and a sentence that is so long does not go on.
_LONGEST = 150
# So long is a line at least whose sentence goes on in the next one.
_WRAPPED = 50


class Failures:
    """Finds where a program failed, line by line.

    is_within: the lines are those of a traceback, of which the outermost frame is still to come
    is_chained: it belongs to the traceback before
    """

    # What a line says: nothing; it failed, if nothing of Celery's follows; it failed; it has failed whatever follows.
    NOTHING, MAYBE, FAILED, CERTAIN = range(4)

    def __init__(self) -> None:
        self.is_within = self.is_chained = self._is_announced = False

    def read(self, line: str) -> int:
        """Return what a line that no output consists of says of a failure. Others may write between those of one."""
        if line.startswith(TRACEBACK):
            self.is_within, self.is_chained, self._is_announced = True, self._is_announced, False
        elif line.startswith(CHAINED):
            self._is_announced = True
        elif self.is_within and line.lstrip().startswith(FRAME):
            self.is_within = False
            return self.CERTAIN if is_outermost(line) else self.MAYBE if is_of_module(line) else self.NOTHING
        elif fails(line):
            self.is_chained = False
            return self.FAILED
        return self.NOTHING


def fails(line: str) -> bool:
    """Return whether the line says that what should ask Celery, or Celery itself, failed; in a box, too."""
    if not line.isascii() and line.lstrip()[:1] in _FRAME:
        line = _bare(line)
    return line.startswith("Error:") or _is_of_wrapper(line)


def _is_of_wrapper(line: str) -> bool:
    return re.match(_WRAPPER, line) is not None or (": " in line and any(words in line for words in _ANYWHERE))


def is_outermost(frame: str) -> bool:
    """Return whether the first frame of a traceback is where its program began: then it has ended the program."""
    return re.match(_PROGRAM, frame) is not None


def is_of_module(frame: str) -> bool:
    """Return whether the first frame of a traceback is where a file is read: then it may have ended the program."""
    return re.match(_MODULE, frame) is not None


def form_behind(line: str) -> str | None:
    """Return what stands before the node of a reply that stands behind other text on its line, None if none does.

    web_1  | ->  celery@web1: OK    -> "->  "
    """
    said = line.rstrip()
    if not said.endswith((": OK", ": ERROR")):
        return None
    before, _, node = said.rpartition(": ")[0].rpartition(" ")
    name, _, server = node.partition("@")
    if not name or not server or not before.strip() or before.strip() == "->":
        return None
    unspaced = before.rstrip()
    return f"->{before[len(unspaced) :]} " if unspaced.endswith("->") else ""


def reason(lines: Sequence[str], replied: bool) -> str:
    """Return the line that says best what went wrong, or where replies hide if nobody replied; "" for none."""
    if not replied:
        if any(re.match(_SPREAD_JSON, line) for line in lines):
            return "its JSON is spread over several lines; print each output on one line (jq -c)"
        behind = next((line for line in lines if _hides_reply(line)), None)
        if behind is not None:
            return f"other text precedes the replies on their lines: {quotable(' '.join(behind.split()))}"
    finds: tuple[Callable[[Sequence[str]], str], ...] = (_error, _wrapper, _exception, _nobody, _last)
    found = next(filter(None, (find(lines) for find in finds)), "")
    return quotable(" ".join(found.split()))


def _hides_reply(line: str) -> bool:
    if form_behind(line) is not None or re.match(r"\s+(?:->\s+)?[^\s@]+@[^\s@]+: (?:OK|ERROR)\s*$", line):
        return True
    return re.match(r'\{".*(?:->|\\u003e)  ?[^\s@]+@\S+: (?:OK|ERROR)', line) is not None


def _bare(line: str) -> str:
    """Return a line without blanks and the frame of a box."""
    return line.strip(_FRAME)


def _error(lines: Sequence[str]) -> str:
    """Return the first error that a program says, from the lines below it if its own only introduces it."""
    for place, line in enumerate(map(_bare, lines)):
        error = re.match(_ERROR, line)
        if not error or re.match(_REPORT, line):
            continue
        below = next((one for one in range(place + 1, len(lines)) if _bare(lines[one])), None)
        if below is None or (error[1] and not line.endswith(":") and not lines[below].startswith(TRACEBACK)):
            return line
        paragraph = [*takewhile(_bare, lines[below:])]
        traced = next((one for one, said in enumerate(paragraph) if said.startswith(TRACEBACK)), None)
        return _last(paragraph) if traced is None else _first_chain(lines[below + traced :]) or line
    return ""


def _wrapper(lines: Sequence[str]) -> str:
    """Return the last line in which a shell, ssh, sudo or a container says that it failed, words before a status."""
    said = [*map(_bare, reversed(lines))]
    words = next((line for line in said if _is_of_wrapper(line) and not re.match(_REPORT, line)), "")
    return words or next((line for line in said if re.match(_SIGNALLED, line)), "")


def _exception(lines: Sequence[str]) -> str:
    """Return what the last traceback says, if there are any of those that ended their program."""
    chains = [*_chains(lines)]
    found = next((said for said, ended in reversed(chains) if ended), chains[-1][0] if chains else "")
    if not re.match(_REPORT, found):
        return found
    # A program in Python that ran another one: what that said is above.
    above = [*takewhile(lambda line: not line.startswith(TRACEBACK), lines)]
    return _wrapper(above) or _last(above) or found


def _first_chain(lines: Sequence[str]) -> str:
    return next((said for said, _ in _chains(lines)), "")


def _chains(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield what each chain of tracebacks says, the last exception and the first, and whether it ended its program."""
    chain: list[str] = []
    ended = is_linked = is_within = False
    for place, line in enumerate(lines):
        if line.startswith(CHAINED):
            is_linked = True
        elif line.startswith(TRACEBACK):
            if chain and not is_linked:
                yield _said(chain), ended
                chain, ended = [], False
            is_linked, is_within = False, True
            frame = next((below for below in lines[place + 1 :] if below.lstrip().startswith(FRAME)), "")
            ended = ended or is_outermost(frame) or is_of_module(frame)
        elif is_within and line[:1].strip():
            # What it says may begin on the next line.
            below = next(filter(None, lines[place + 1 :]), "") if line.rstrip().endswith(":") else ""
            chain.append(f"{line.strip()} {below.strip()}".strip())
            is_within = False
    if chain:
        yield _said(chain), ended


def _said(chain: Sequence[str]) -> str:
    first, last = chain[0], chain[-1]
    if first.partition(": ")[2] in last:
        return last
    return f"{last[:_LONGEST]}, after {first[:_LONGEST]}"


def _nobody(lines: Sequence[str]) -> str:
    """Return where Celery says that nobody replied, if that stands behind other text: it was read as none of its."""
    return next((line for line in map(_bare, lines) if NOBODY in line and not re.match(_REPORT, line)), "")


def _last(lines: Sequence[str]) -> str:
    """Return the last sentence that is neither a warning nor advice nor a report; if there is none, the last one."""
    said = _sentences(lines)
    telling = [one for one in said if not re.match(_ADVICE, one) and not re.match(_REPORT, one)]
    return (telling or said or [""])[-1]


def _sentences(lines: Sequence[str]) -> list[str]:
    """Return the lines; one that begins with a word in lower case goes on with a long one above that did not end."""
    said: list[str] = []
    is_open = False
    for line in map(_bare, lines):
        if is_open and len(said[-1]) < _LONGEST and re.match(r"[a-z]+ ", line):
            said[-1] += f" {line}"
        elif line:
            said.append(line)
        is_open = len(line) >= _WRAPPED and line[-1] not in ".:!?"
    return said
