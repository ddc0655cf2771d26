"""Perl's Monitoring::Plugin::Performance, which graphing tools read perfdata with, understands that of the plugin."""

from __future__ import annotations

import subprocess

import pytest
from daemons import executable
from paths import CAPTURES as CAPTURE_DIRECTORY
from running import UNKNOWN, Outcome, check

pytestmark = pytest.mark.daemon

PERL = executable("perl", package="perl")
# Of each line of perfdata, one line: all that it tells of each metric. What it does not tell is empty.
PARSER = r"""
use strict;
use warnings FATAL => "all";
use Monitoring::Plugin::Performance;
while (my $perfdata = <STDIN>) {
    chomp $perfdata;
    my @metrics = Monitoring::Plugin::Performance->parse_perfstring($perfdata);
    print join(" ", map {
        my $metric = $_;
        join(";", map { $_ // "" } map { $metric->$_ } qw(label value uom warning critical min max));
    } @metrics), "\n";
}
"""
CAPTURES = sorted(CAPTURE_DIRECTORY.glob("*/*.stdout"))
CAPTURED = ("specialworker-1..2@serverA", "other-worker-2@server-b.example.com", "celery@serverC")
ANSWERS = "".join(f"->  w-{index}@a: OK\n" for index in range(1, 9)) + "\n8 nodes online.\n"
RANGES = (
    *("0", "3", "10", "2.5", "0.125", "1:", "2:7", "-5:5", "~:", "~:3", ":4", "100000000000000"),
    *("0%", "10%", "33.3%", "2:7%", "~:50%"),
)


def runs() -> list[Outcome]:
    """Return what representative runs of the plugin print."""
    outcomes = [check(*CAPTURED, text=capture.read_bytes()) for capture in CAPTURES]
    for text in RANGES:
        outcomes.append(check("-w", text, "-c", text, "w-10@a", text=ANSWERS))
        outcomes.append(check("-w", text, "w-10@a", text=ANSWERS))
        outcomes.append(check("-c", text, "w-10@a", text=ANSWERS))
    for metric in ("unexpected", "malfunctioning", "duplicate", "missing-servers", "unexpected-servers"):
        for text in RANGES[:12]:
            arguments = (f"--{metric}-warning", text, f"--{metric}-critical", text)
            outcomes.append(check(*arguments, "w-4@a", "w-3@b", text=f"{ANSWERS}w-1@c: ERROR\n"))
    outcomes.append(check("w-1000000@a", "w-1000000@b", text=""))
    outcomes.append(check("w-1@'=;=1", text="w-1@'=;: OK\n"))
    outcomes.append(check("celery@web-*=2..8", "w-1..8@a", text=ANSWERS))
    outcomes.append(check("w-8@a", "--", "echo", ANSWERS))
    outcomes.append(check("w-9@a", "--attempts", "2", "--", "echo", ANSWERS))
    return outcomes


def told(item: str) -> str:
    """Return what the perfdata of one metric tell, in the parser's words."""
    label, _, rest = item.partition("=")
    value, *others = rest.split(";")
    number = value.rstrip("s")
    return ";".join((label, f"{float(number):.15g}", value[len(number) :], *others, *[""] * (4 - len(others))))


def parsed(perfdata: list[str]) -> list[str]:
    """Return what the parser in Perl understands of each."""
    done = subprocess.run(
        (PERL, "-e", PARSER),
        input="".join(f"{line}\n" for line in perfdata),
        capture_output=True,
        check=False,
        text=True,
    )
    if "Can't locate Monitoring/Plugin/Performance.pm" in done.stderr:
        pytest.skip("needs libmonitoring-plugin-perl: apt-get install libmonitoring-plugin-perl")
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


def test_parsed_to_the_same_numbers() -> None:
    outcomes = [outcome for outcome in runs() if outcome.code != UNKNOWN]
    assert len(outcomes) > 100
    perfdata = [outcome.output.split("\n", 1)[0].split(" | ")[1] for outcome in outcomes]
    assert parsed(perfdata) == [" ".join(told(item) for item in line.split(" ")) for line in perfdata]
    assert all(len(line.split(" ")) == (8 if " time=" in line else 7) for line in perfdata)


def test_range_that_alerts_inside() -> None:
    """The parser knows no @ and passes over what follows, but the value itself is right."""
    outcome = check("-w", "@1:3", "w-10@a", text=ANSWERS)
    assert outcome.perfdata["missing"] == "2;@1:3;;0;10"
    (line,) = parsed(["missing=2;@1:3;;0;10"])
    assert line == "missing;2;;;;;"
