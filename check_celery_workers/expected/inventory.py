"""The inventory: all that should be so, as plain sets and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from check_celery_workers.errors import UsageError
from check_celery_workers.expected.demand import Demand
from check_celery_workers.expected.grammar import Span, parse
from check_celery_workers.expected.limits import (
    Backlog,
    Expected,
    Limit,
    Release,
    StallLimit,
    is_beat,
    parse_backlog,
    parse_beat,
    parse_queue,
    parse_release,
)
from check_celery_workers.expected.mistakes import WrongError, names_copied
from check_celery_workers.node import BEAT, UNNUMBERED, Group, index_of, indexes_of, node_name, printable, split_node
from check_celery_workers.pattern import first_match
from check_celery_workers.secret import hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COMMENT = r"(?:^|\s)#.*"
_NO_RANGES = Backlog("")


class Inventory:
    """All that must be there, built from EXPECTED."""

    def __init__(
        self,
        first_index: int | None = None,
        ignored: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Number COUNT workers from `first_index`, 0 or 1; None: from whichever the replies show, group by group.

        ignored: patterns of the workers to leave out of every count, unless something expects them
        options: what else is wanted of the workers, by the names of the options, such as "task_limit"
        """
        # What the fixed forms expect; patterns of workers and of beats, in the order in which they take nodes.
        self.groups: dict[Group, Demand] = {}
        self.patterns: dict[str, Limit] = {}
        self.beats: dict[str, Limit] = {}
        # How many consume from a queue; how many messages may wait in it, and whether an option asks for that.
        self.queues: dict[str, Limit] = {}
        self.backlogs: dict[str, Backlog] = {}
        self.asks_for_lengths = False
        # For how many seconds a worker may start no task while work waits for it; the files of releases, by patterns of
        # workers, None: all others.
        self.stall_limit: float | None = None
        self.releases: list[tuple[str | None, str]] = []
        # The lines of files that were passed over, by their first word, since they need --broker.
        self.passed_over: list[str] = []
        self.options = options or {}
        # How many workers and beats these are, of patterns the least number.
        self.size = 0
        self._first_index = first_index
        self._ignored = first_match(ignored)

    @classmethod
    def of(cls, groups: Mapping[Group, set[str]]) -> Inventory:
        """Return the inventory of exactly these workers, whose indexes are given in digits."""
        inventory = cls()
        for group, digits in groups.items():
            demand = inventory.groups[group] = Demand()
            demand.indexes = indexes_of(digits)
            inventory.size += len(demand.indexes)
        return inventory

    def only_beats(self) -> Inventory:
        """Return what of it is about schedulers."""
        inventory = Inventory()
        inventory.beats = self.beats
        inventory.size = self.size - self.least_workers
        return inventory

    def __bool__(self) -> bool:
        """Return whether anything was given."""
        return bool(self.expects_nodes or self.backlogs)

    @property
    def names_workers(self) -> bool:
        """Whether workers are expected, and not only beats, consumers of queues or backlogs."""
        return bool(self.groups or self.patterns)

    @property
    def least_workers(self) -> int:
        """How many workers are expected at least: `size` counts the beats as well."""
        return self.size - sum(limit.low for limit in self.beats.values())

    @property
    def only_beats_are_expected(self) -> bool:
        """Whether neither workers nor consumers of queues are expected."""
        return bool(self.beats) and not (self.names_workers or self.queues)

    @property
    def expects_nodes(self) -> bool:
        """Whether anything but backlogs is expected."""
        return bool(self.names_workers or self.beats or self.queues)

    @property
    def asks_workers(self) -> bool:
        """Whether workers or beats must be asked: for all but the backlogs of queues that are named."""
        return self.expects_nodes or "" in self.backlogs

    def given(self, option: str) -> object:
        """Return what is wanted by the option of this name, something false if nothing is."""
        # Which queues there are is known from the workers.
        own = {
            "queue": self.queues or "" in self.backlogs,
            "beat": self.beats,
            "backlog": self.backlogs,
            "stall_limit": self.stall_limit,
            "started_after": self.releases,
        }
        if option in own:
            return own[option]
        # A name that no option has is a mistake, and not something that is not wanted.
        return self.options[option] if self.options else None

    def pass_over(self) -> None:
        """Leave out what needs --broker, and note it."""
        self.passed_over = [name for name in ("stall_limit", "started_after") if self.given(name)]
        self.stall_limit, self.releases = None, []

    def backlog_of(self, queue: str) -> Backlog:
        """Return how many messages may wait in this queue."""
        return self.backlogs.get(queue, _NO_RANGES).or_else(self.backlogs.get("", _NO_RANGES))

    def names_queue(self, queue: str) -> bool:
        """Return whether an option is about this very queue."""
        return queue in self.queues or queue in self.backlogs

    def is_beat(self, node: str) -> bool:
        """Return whether this node is a scheduler: Celery names it so, or it is expected as one."""
        return is_beat(node) or self.find_beat(node) is not None

    def beats_among(self, groups: Mapping[Group, set[str]]) -> set[str]:
        """Return the node names of the schedulers among these, whose indexes are given in digits."""
        suspects = groups if self.beats else [group for group in groups if group[0] == BEAT]
        nodes = (node_name(group, digits) for group in suspects for digits in groups[group])
        return {*filter(self.is_beat, nodes)}

    @cached_property
    def find_beat(self) -> Callable[[str], int | None]:
        """Find the first of the beats expected that a node matches: its place among them, or None."""
        return first_match(self.beats)

    def may_expect(self, node: str) -> bool:
        """Return whether a worker of this name may be one that is expected."""
        return split_node(node)[0] in self.groups or self._find_pattern(node) is not None

    @cached_property
    def _find_pattern(self) -> Callable[[str], int | None]:
        return first_match(self.patterns)

    def ignores(self, node: str) -> bool:
        """Return whether this worker is ignored if nothing expects it."""
        return self._ignored(node) is not None

    def expect(self, text: str) -> None:
        """Add what one EXPECTED asks for. Raises UsageError if it is wrong or asks for a worker a second time."""
        try:
            for expected in parse(text):
                self._add(expected)
        except WrongError as wrong:
            raise UsageError(f"EXPECTED {hidden(text, 200)}: {wrong.explained()}") from None

    def expect_option(self, option: str, text: str) -> None:
        """Add what one --queue, --beat or --backlog-... asks for. Raises UsageError if it is wrong or comes twice."""
        try:
            parsers = {"queue": parse_queue, "beat": parse_beat, "started_after": parse_release}
            if option in parsers:
                self._add(parsers[option](text))
            else:
                self._add(parse_backlog(text, option.removeprefix("backlog_")))
        except WrongError as wrong:
            raise UsageError(f"--{option.replace('_', '-')} {hidden(text, 200)}: {wrong}") from None

    def expect_lines(self, lines: Iterable[str], file: str) -> None:
        """Add what the lines of a file ask for.

        Raises UsageError that names FILE:LINE. It never quotes the line: under sudo that would disclose any file.
        """
        for place, line in enumerate(lines, start=1):
            text = line.lstrip("\ufeff").strip()
            if "#" in text:
                text = re.sub(_COMMENT, "", text).rstrip()
            if text:
                try:
                    for expected in parse(text, in_file=True):
                        self._add(expected, in_file=True)
                except WrongError as wrong:
                    raise UsageError(f"{printable(file)}:{place}: {wrong}") from None

    def _add(self, expected: Expected, in_file: bool = False) -> None:
        if isinstance(expected, Span):
            self._add_span(expected.group, expected.first, expected.last)
        elif isinstance(expected, Backlog):
            self._add_backlog(expected, in_file)
        elif isinstance(expected, StallLimit):
            if self.stall_limit is not None:
                raise WrongError("the stall-limit is given twice", "it once")
            self.stall_limit = expected.seconds
        elif isinstance(expected, Release):
            if expected.pattern in dict(self.releases):
                raise WrongError("FILE is given twice for the same workers", "it once")
            self.releases.append((expected.pattern, expected.file))
        elif isinstance(expected, Limit):  # pragma: no branch -- there is nothing else
            limits = {"pattern": self.patterns, "beat": self.beats, "queue": self.queues}[expected.what]
            if expected.name in limits:
                raise WrongError(f"the {expected.what} is given twice", "it once")
            group, digits = split_node(expected.name)
            index = index_of(digits)
            if expected.what == "beat" and group in self.groups and self.groups[group].overlaps(index, index):
                raise WrongError("it is expected as a worker", "it once")
            limits[expected.name] = expected
            self.size += 0 if expected.what == "queue" else expected.low

    def _add_backlog(self, backlog: Backlog, in_file: bool) -> None:
        known = self.backlogs.get(backlog.name, _NO_RANGES)
        if (known.warning and backlog.warning) or (known.critical and backlog.critical):
            raise WrongError("the backlog is given twice", "it once")
        self.backlogs[backlog.name] = backlog.or_else(known)
        if not in_file:
            self.asks_for_lengths = True

    def _add_span(self, group: Group, first: int | None, last: int) -> None:
        """Add the workers from `first` to `last`, or COUNT of them if it is None (see Span)."""
        if first == UNNUMBERED and node_name(group) in self.beats:
            raise WrongError("it is expected as a beat", "it once")
        if first is None and self._first_index is not None:
            first, last = self._first_index, self._first_index + last - 1
        demand = self.groups.setdefault(group, Demand())
        if first is None and demand.count not in (0, last):
            raise names_copied(group, demand.count, last)
        if demand.overlaps(first or 0, last):
            raise WrongError("the same worker is expected twice", "it once")
        if first is None:
            demand.count = last
        else:
            demand.indexes.update(range(first, last + 1))
        self.size += last if first is None else last + 1 - first
