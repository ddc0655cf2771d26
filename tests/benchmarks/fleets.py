"""Fleets of any size, as text of `celery status` and as EXPECTED."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PER_SERVER = 50


class Fleet(NamedTuple):
    """A status text, a file of EXPECTED, and how what the plugin says of the two starts."""

    name: str
    text: Path
    expected: Path
    says: str


def write_text(path: Path, workers: int, node: Callable[[int], str]) -> Path:
    """Write what Celery 5 prints of that many workers, in no order, as they answer; return the path."""
    with path.open("w") as file:
        # A prime that no number of workers here has as a factor goes through all of them. To shuffle a list would take
        # so much memory that it could not be told from that of the processes started next.
        file.writelines(f"->  {node(i * 7919 % workers)}: OK\n" for i in range(workers))
        file.write(f"\n{workers} nodes online.\n")
    return path


def write_expected(path: Path, expected: Iterable[str]) -> Path:
    """Write EXPECTED, one per line; return the path."""
    with path.open("w") as file:
        file.writelines(f"{one}\n" for one in expected)
    return path


def usual_fleet(directory: Path, workers: int) -> Fleet:
    """Return a fleet of which everybody answers, with fifty workers on each server."""
    servers = workers // PER_SERVER
    return Fleet(
        f"{workers:,} workers",
        write_text(
            directory / f"text-{workers}", workers, lambda i: f"worker-{i % PER_SERVER}@{_server(i // PER_SERVER)}"
        ),
        write_expected(
            directory / f"expected-{workers}", (f"worker-{PER_SERVER}@{_server(i)}" for i in range(servers))
        ),
        f"CELERY WORKERS OK - {workers:,} of {workers:,} workers online on {servers:,} servers | ",
    )


def other_fleets(directory: Path, usual: Fleet, workers: int) -> Iterator[Fleet]:
    """Yield fleets of that many workers, as many as the usual one has, each hard in a way of its own."""
    lone = "lone@elsewhere"
    yield Fleet(
        f"{workers:,} workers, all of one name and server",
        write_text(directory / "text-single", workers, lambda i: f"worker-{i}@a"),
        write_expected(directory / "expected-single", [f"worker-{workers}@a"]),
        f"CELERY WORKERS OK - {workers:,} of {workers:,} workers online on 1 server | ",
    )
    yield lone_workers(directory, workers, "hosts")
    yield Fleet(
        f"{workers:,} workers, all missing",
        write_text(directory / "text-lone", 1, lambda _: lone),
        usual.expected,
        f"CELERY WORKERS CRITICAL - {workers:,} of {workers:,} workers missing, 1 unexpected (server elsewhere) | ",
    )
    yield Fleet(
        f"{workers:,} workers, all unexpected",
        usual.text,
        write_expected(directory / "expected-lone", [lone]),
        f"CELERY WORKERS CRITICAL - 1 of 1 worker missing (server elsewhere), {workers:,} unexpected | ",
    )
    servers = workers // PER_SERVER
    patterns = (f"worker-*@{_server(i)}={PER_SERVER}" for i in range(0, servers, 2))
    yield Fleet(
        f"{workers:,} workers against {(servers + 1) // 2:,} patterns, half of them unexpected",
        usual.text,
        write_expected(directory / "expected-patterns", patterns),
        f"CELERY WORKERS WARNING - {workers // 2:,} workers unexpected | ",
    )


def lone_workers(directory: Path, workers: int, name: str) -> Fleet:
    """Return a fleet of which everybody answers, with one worker on each server."""
    return Fleet(
        f"{workers:,} workers, each on a server and a line of its own",
        write_text(directory / f"text-{name}", workers, lambda i: f"celery@{_server(i)}"),
        write_expected(directory / f"expected-{name}", (f"celery@{_server(i)}" for i in range(workers))),
        f"CELERY WORKERS OK - {workers:,} of {workers:,} workers online on {workers:,} servers | ",
    )


def slow_patterns(directory: Path, patterns: int, workers: int) -> Fleet:
    """Return a fleet of which each node has to be compared with each pattern."""
    return Fleet(
        f"{patterns:,} patterns against {workers:,} workers",
        write_text(directory / "text-slow", workers, lambda i: f"worker-{i}@{_server(i // PER_SERVER)}"),
        write_expected(directory / "expected-slow", (f"*o*r*@*v*x{i}*=1.." for i in range(patterns))),
        "CELERY WORKERS ",
    )


def _server(number: int) -> str:
    return f"server{number:05d}.example.com"
