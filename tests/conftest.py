"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from brokers import Redis
from daemons import WORKERS, executable
from fleet import Fleet
from processes import all_ended

# Each of its tests starts all that it needs: they run wherever there is room, side by side.
BY_THEMSELVES = {"test_torture.py"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail where a test is skipped: nothing may be lacking")
    parser.addoption("--rewrite-cases", action="store_true", help="write into a case what is printed, and fail there")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, as they share what they start, but for those that share nothing."""
    for item in items:
        if item.path.name not in BY_THEMSELVES:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The workers that the files in contrib expect, all online; a test that changes that changes it back."""
    executable("redis-server", package=Redis.package)
    directory = tmp_path_factory.mktemp("redis")
    with Redis(directory) as broker, Fleet(broker=broker.url) as fleet, fleet.ending_with_the_last_reply():
        fleet.start(*WORKERS)
        yield fleet


@pytest.fixture
def nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Assert that all ended that was started."""
    with all_ended() as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        yield
