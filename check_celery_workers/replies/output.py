"""What came of asking Celery: replies, outputs, texts, and all of a check.

A check asks one or several questions, each once or several times. What comes is a text for each time. A text is a list
of outputs, one for each time that Celery itself was asked. An output has its question, its replies and its end.

    $ celery -A one status; celery -A two status      one text of two outputs
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from check_celery_workers.node import Group, node_name, split_node
from check_celery_workers.replies.item import Item, Queue, Task
from check_celery_workers.replies.question import ACTIVE_QUEUES, QUESTIONS, Question

# What Celery 5 puts before a node.
ARROW_5 = "->  "
_LONGEST_CAUSE = 1000


class Replies:
    """Who replied, and what."""

    def __init__(self) -> None:
        # The indexes that replied of each group, in digits as the workers write them; how many node names these are.
        self.groups: dict[Group, set[str]] = {}
        self.count = 0
        # Node names that more than one worker answers to, or that replied ERROR; what each listed for each question.
        self.duplicates: set[str] = set()
        self.errors: set[str] = set()
        # What those said that replied ERROR, as far as they did.
        self.causes: dict[str, str] = {}
        self.without_queue: set[str] = set()
        # Who consumes from no queue, unless something else was asked.
        self.maybe_without_queue: set[str] = set()
        self.told: dict[Question, dict[str, list[Item]]] = {}
        # How many messages wait in a queue; None: the broker has no queue of this name.
        self.lengths: dict[str, int | None] = {}

    def add(self, other: Replies) -> None:
        """Add the replies of another output."""
        for group, indexes in other.groups.items():
            known = self.groups.setdefault(group, set())
            self.count += len(indexes - known)
            known |= indexes
        self.duplicates |= other.duplicates
        self.errors |= other.errors
        self.causes.update(other.causes)
        self.without_queue |= other.without_queue
        self.maybe_without_queue |= other.maybe_without_queue
        for question, listed in other.told.items():
            told = self.told.setdefault(question, {})
            for node, items in listed.items():
                told[node] = [*dict.fromkeys((*told.get(node, ()), *items))]
        self.lengths.update(other.lengths)

    def without(self, nodes: Collection[str]) -> Replies:
        """Return these replies without the presence of some nodes; what they said stays."""
        if not nodes:
            return self
        rest = Replies()
        rest.add(self)
        for node in nodes:
            group, digits = split_node(node)
            own = rest.groups.get(group, set())
            rest.count -= digits in own
            own.discard(digits)
            if not own:
                rest.groups.pop(group, None)
        return rest

    def note_error(self, node: str, cause: object = "") -> None:
        """Note that a node replied ERROR, and what it said: of a text the beginning, and nothing else."""
        self.errors.add(node)
        if isinstance(cause, str) and cause.strip():
            self.causes.setdefault(node, cause.strip()[:_LONGEST_CAUSE])

    def tell(self, question: Question, node: str, *items: Item) -> None:
        """Note that a node answered a question, and what it listed."""
        self.told.setdefault(question, {}).setdefault(node, []).extend(items)

    def nodes(self) -> set[str]:
        """Return the node names that replied."""
        return {node_name(group, digits) for group, indexes in self.groups.items() for digits in indexes}

    def unheard(self, question: Question) -> set[str]:
        """Return the node names that replied and did not answer this question; ERROR is an answer to any."""
        return self.nodes().difference(self.told.get(question, ()), self.errors)

    def consumers(self, ignored: Collection[str] = (), by_any_name: bool = False) -> dict[str, set[str]]:
        """Return the node names that consume from each queue, by the name that people know it by, or by each.

        ignored: node names that do not count
        """
        consumers: dict[str, set[str]] = {}
        for node, queues in self.told.get(ACTIVE_QUEUES, {}).items():
            for queue in (queue for queue in queues if isinstance(queue, Queue) and node not in ignored):
                consumers.setdefault(queue.known_as, set()).add(node)
                if by_any_name and queue.known_as != queue:
                    consumers.setdefault(str(queue), set()).add(node)
        return consumers

    def backlogs(self, is_named: Callable[[str], bool], ignored: Collection[str] = ()) -> dict[str, int | None]:
        """Return how many messages wait in each queue, by the same names; queues of one such name are added up.

        is_named: whether a queue is wanted by its own name
        ignored: node names whose queues do not count, unless others consume from them
        """
        told = self.told.get(ACTIVE_QUEUES, {}).values()
        known_as = {str(queue): queue.known_as for queues in told for queue in queues if isinstance(queue, Queue)}
        uncounted = self.consumers(by_any_name=True).keys() - self.consumers(ignored, by_any_name=True).keys()
        backlogs: dict[str, int | None] = {}
        for queue, length in self.lengths.items():
            name = queue if is_named(queue) else known_as.get(queue, queue)
            if queue in uncounted and not is_named(name):
                continue
            # Of one that is not there, the others of its name tell.
            others = backlogs.get(name)
            backlogs[name] = others if length is None else length + (others or 0)
        return backlogs


class Output:
    """What Celery said when it was asked once: a question, replies, and an end."""

    # How it ended: as it should; nobody replied; it failed; a part is missing.
    WELL, NOBODY, FAILED, CUT = range(4)

    def __init__(self, end: int = WELL) -> None:
        self.question: Question | None = None
        self.replies = Replies()
        self.end = end
        self.problem = ""  # how it shows that a part of it is missing
        self.hides = False  # whether what is wrong with its last worker may be in that part
        self.form = ""  # what stands before its nodes
        self.repeats = 0  # how many nodes came again
        self.behind: set[str] = set()  # what stands before the nodes of replies that stand behind other text
        self.bodies: dict[str, list[Item] | None] = {}  # what each listed; None: neither queues nor tasks
        self.empty: set[str] = set()  # who listed nothing
        self.unread: set[str] = set()  # who listed something that cannot be read
        self.has_error = False  # whether an error stands below its replies

    @classmethod
    def of_lengths(cls, lengths: Mapping[str, int | None]) -> Output:
        """Return what the broker said of its queues, see Replies."""
        output = cls()
        output.replies.lengths.update(lengths)
        return output

    def __bool__(self) -> bool:
        """Return whether any worker replied."""
        return bool(self.replies.groups)

    @property
    def lines(self) -> int:
        """How many replies it has, each node as often as it came."""
        return sum(map(len, self.replies.groups.values())) + self.repeats

    def doubt(self, problem: str, at_end: bool = False) -> None:
        """Note how it shows that a part of it is missing: if that is its end, its last worker may have more tasks."""
        self.problem = self.problem or problem
        self.hides = self.hides or (at_end and any(isinstance(item, Task) for item in self.items()))

    def hold(self, node: str, *items: Item) -> None:
        """Add what a node listed: nothing, a queue or a task."""
        self.bodies[node] = held = self.bodies.get(node) or []
        held += items
        if not items:
            self.empty.add(node)

    def items(self) -> list[Item]:
        """Return all that was listed."""
        return [item for body in self.bodies.values() for item in body or ()]

    def close(
        self,
        asked: Question | None,
        assumed: Question | None = None,
        claimed: int | None = None,
        whole: bool = False,
    ) -> None:
        """Note that nothing more comes, and what that makes of it.

        asked: what Celery was asked, if known; assumed: what else, if nobody lists anything
        claimed: how many nodes its closing line counts, None without one
        whole: it is known that no closing line is lacking
        """
        self.question = asked or self._shown(assumed)
        if self.question is ACTIVE_QUEUES:
            is_sure = asked or self.items()
            (self.replies.without_queue if is_sure else self.replies.maybe_without_queue).update(self.empty)
        for node, body in self.bodies.items():
            if body == [] and self.question and node not in self.unread:
                self.replies.tell(self.question, node)
            for item in body or () if node not in self.unread else ():
                answered = Question.answered_by(item, asked)
                if answered:
                    self.replies.tell(answered, node, item)
        count = self.replies.count = sum(map(len, self.replies.groups.values()))
        if self.form in self.behind and (claimed is None or claimed > count) and count:
            self.doubt("other text precedes a reply on its line")
        if claimed is not None and claimed > count:
            self.doubt(f"it counts {claimed} nodes and lists {count}", at_end=True)
        elif claimed is None and count and self.form == ARROW_5 and not (whole or self.has_error):
            self.doubt("its closing line is missing (a timeout or a filter?)", at_end=True)
        failed = self.has_error and (claimed is None or claimed < count)
        self.end = self.FAILED if failed else self.CUT if self.problem else self.WELL
        self.hides = self.hides and self.end == self.CUT

    def _shown(self, assumed: Question | None) -> Question | None:
        """Return the question that what is listed shows, what is assumed where everybody listed nothing."""
        shown = {Question.answered_by(item) for item in self.items()}
        nothing = assumed if not shown and [] in self.bodies.values() else None
        return next((question for question in QUESTIONS if question in shown), nothing)
