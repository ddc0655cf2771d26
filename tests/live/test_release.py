"""Real workers, some of them of before a release: a link that moves from one folder to the next, or a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from brokers import Redis
from deployment import Deployment, undated, wait_until_old
from fleet import Fleet
from processes import wait_for
from running import CRITICAL, OK, UNKNOWN, Outcome, at_the_timeout, perfdata, run

pytestmark = [pytest.mark.celery, pytest.mark.daemon, pytest.mark.usefixtures("nothing_is_left_running")]

WORKERS = ("w-1@a", "w-2@a", "mail@b")
EXPECTED = ("w-1..2@a", "mail@b")
# Whoever is older than the change is named at once.
NO_GRACE = ("--started-grace", "0.001")
# For so many seconds a worker has run that is certainly older than what changes now: it says so in whole seconds.
OLD = 3


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if not Redis.installed():
        pytest.skip(f"needs {Redis.package}: apt-get install {Redis.package}")
    redis = Redis(tmp_path_factory.mktemp("redis"))
    with redis:
        yield redis


@pytest.fixture(scope="module")
def fleet(redis: Redis) -> Iterator[Fleet]:
    """All of WORKERS online; a test may start them anew."""
    with Fleet(broker=redis.url) as fleet:
        fleet.start(*WORKERS)
        yield fleet


@pytest.fixture
def shop(fleet: Fleet, tmp_path: Path) -> Deployment:
    """Deploy the first release of a shop; all workers are older than whatever is deployed from now on."""
    wait_until_old(fleet, *WORKERS)
    shop = Deployment(tmp_path / "shop")
    shop.deploy("a")
    return shop


def restart(fleet: Fleet, *nodes: str) -> None:
    for node in nodes:
        fleet.kill(node)
    fleet.start(*nodes)


def check(fleet: Fleet, *arguments: str, expected: tuple[str, ...] = EXPECTED) -> Outcome:
    """Run the plugin over the broker, with AGE for how long ago something was."""
    said = run(*expected, "-t", "200", "--settle", "0", *arguments, "--broker", fleet.broker).timeless
    return said._replace(output=undated(said.output))


def well(*lines: str, **others: str) -> Outcome:
    """Return the outcome where all are well, with these lines below; `others` are further perfdata."""
    numbers = perfdata(missing="0;;0;0;3", online="3;;;0", time="0.5s;;;0", **others)
    first = f"CELERY WORKERS OK - 3 of 3 workers online on 2 servers | {numbers}"
    return Outcome("".join(f"{line}\n" for line in (first, *lines)), OK)


def unknown(reason: str) -> Outcome:
    return Outcome(f"CELERY WORKERS UNKNOWN - {reason}\n", UNKNOWN)


def old(changed: Mapping[str, Path], *lines: str, of: int = 3, **others: str) -> Outcome:
    """Return the outcome where these workers were started before these files were changed; see `well`."""
    count = len(changed)
    numbers = perfdata(
        missing=f"0;;0;0;{of}", online=f"{of};;;0", malfunctioning=f"{count};;0;0", time="0.5s;;;0", **others
    )
    names = f": {', '.join(changed)}" if count <= 2 else ""
    first = f"CELERY WORKERS CRITICAL - {count} worker{'s' * (count > 1)} malfunctioning{names} | {numbers}"
    findings = [
        f"Worker {node} was malfunctioning, it was started AGE ago, before {file} was changed AGE ago"
        for node, file in changed.items()
    ]
    return Outcome("".join(f"{line}\n" for line in (first, *findings, *lines)), CRITICAL)


def test_a_rolling_restart(fleet: Fleet, shop: Deployment) -> None:
    shop.deploy("b")
    after = ("--started-after", str(shop.current))
    left = ["mail@b", "w-1@a", "w-2@a"]
    while left:
        assert check(fleet, *after) == well()
        assert check(fleet, *after, "--started-grace", "1h") == well()
        assert check(fleet, *after, *NO_GRACE) == old(dict.fromkeys(left, shop.current))
        restart(fleet, left.pop(0))
    assert check(fleet, *after, *NO_GRACE) == well()


def test_crit_two_applications_and_the_others(fleet: Fleet, shop: Deployment, tmp_path: Path) -> None:
    mail, bulk = Deployment(tmp_path / "mail"), Deployment(tmp_path / "bulk")
    for application in (mail, bulk):
        application.deploy("a")
    restart(fleet, *WORKERS)
    after = [
        *("--started-after", str(shop.current)),
        *("--started-after", f"mail@*={mail.current}"),
        *("--started-after", f"w-2@*={bulk.current}"),
    ]
    assert check(fleet, *after, *NO_GRACE) == well()
    wait_until_old(fleet, *WORKERS)
    mail.deploy("b")
    assert check(fleet, *after, *NO_GRACE) == old({"mail@b": mail.current})
    shop.deploy("b")
    assert check(fleet, *after, *NO_GRACE) == old({"mail@b": mail.current, "w-1@a": shop.current})
    bulk.deploy("b")
    all_old = {"mail@b": mail.current, "w-1@a": shop.current, "w-2@a": bulk.current}
    assert check(fleet, *after, *NO_GRACE) == old(all_old)
    restart(fleet, "mail@b")
    del all_old["mail@b"]
    assert check(fleet, *after, *NO_GRACE) == old(all_old)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("gone", "No such file or directory", id="it is not there"),
        pytest.param("file/current", "Not a directory", id="a folder of its path is none"),
    ],
)
def test_nobody_knows_when_it_was_changed(
    fleet: Fleet, shop: Deployment, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    file = tmp_path / name
    after = ("--started-after", str(file), "--started-after", f"w-2@a={shop.current}")
    doubt = f"--started-after cannot be judged of mail@b and 1 more: {file}: {reason}"
    assert check(fleet, *after) == unknown(doubt)
    # What is certain and CRITICAL stands.
    assert check(fleet, *after, *NO_GRACE) == old({"w-2@a": shop.current}, f"In doubt: {doubt}")
    # How many are malfunctioning is in doubt.
    numbers = perfdata(missing="1;;0;0;4", online="3;;;0", time="0.5s;;;0", missing_servers="1;;;0").replace(
        "malfunctioning=0;;0;0 ", ""
    )
    ask = (fleet, *after, "--reply-timeout")
    said = at_the_timeout(lambda seconds: check(*ask, seconds, expected=(*EXPECTED, "bulk@c")), "1 of 4")
    assert said == Outcome(
        f"CELERY WORKERS CRITICAL - 1 of 4 workers missing: server c | {numbers}\n"
        "Server c was missing, accounts for 1 missing worker: bulk@c\n"
        f"In doubt: {doubt}\n",
        CRITICAL,
    )
    # With the pattern of nobody it does not matter.
    assert check(fleet, "--started-after", f"bulk@*={file}") == well()


def test_changed_in_the_future(fleet: Fleet, shop: Deployment) -> None:
    after = ("--started-after", str(shop.current))
    doubt = f"--started-after cannot be judged of mail@b and 2 more: {shop.current}: it was changed in the future"
    shop.date(3600)
    assert check(fleet, *after) == unknown(doubt)
    # The clocks of two hosts are never quite the same.
    assert check(fleet, *after, "--started-grace", "2h") == well()


def test_a_link_counts_and_not_where_it_leads(fleet: Fleet, shop: Deployment) -> None:
    after = ("--started-after", str(shop.current))
    shop.date(-86400)
    (shop.current / "shop.py").touch()
    assert check(fleet, *after, *NO_GRACE) == well()
    # The tool that moves the link may remove old releases before the workers are started anew.
    shop.deploy("b")
    for folder in ("a", "b"):
        (shop.release(folder) / "shop.py").unlink()
        shop.release(folder).rmdir()
    assert not shop.current.exists()
    assert check(fleet, *after, *NO_GRACE) == old(dict.fromkeys(sorted(WORKERS), shop.current))


def test_a_file_that_each_release_writes(fleet: Fleet, shop: Deployment, tmp_path: Path) -> None:
    del shop
    file = tmp_path / "REVISION"
    file.write_text("8b5c\n")
    restart(fleet, "w-1@a")
    after = ("--started-after", str(file), *NO_GRACE)
    assert check(fleet, *after) == old(dict.fromkeys(("mail@b", "w-2@a"), file))


def test_lines_of_a_file(fleet: Fleet, shop: Deployment, tmp_path: Path) -> None:
    listed = tmp_path / "workers"
    lines = ("w-1..2@a", "mail@b", "stall-limit 3s", f"started-after w-*={shop.current}  # the shop")
    listed.write_text("".join(f"{line}\n" for line in lines))
    expected = ("-f", str(listed))
    assert check(fleet, expected=expected) == well(backlog="0;;;0")
    shop.deploy("b")
    assert check(fleet, *NO_GRACE, expected=expected) == old(
        dict.fromkeys(("w-1@a", "w-2@a"), shop.current), backlog="0;;;0"
    )
    # An option adds to the file.
    gone = str(tmp_path / "gone")
    assert check(fleet, "--started-after", gone, expected=expected) == unknown(
        f"--started-after cannot be judged of mail@b: {gone}: No such file or directory"
    )


def test_lines_of_a_file_without_a_broker_are_passed_over(fleet: Fleet, shop: Deployment, tmp_path: Path) -> None:
    listed = tmp_path / "workers"
    listed.write_text(f"w-1..2@a\nmail@b\nstall-limit 3s\nstarted-after {shop.current}\n")
    with fleet.ending_with_the_last_reply():
        command = fleet.inspect_command("-t", "100")
        environment = {**os.environ, **fleet.environment}
        said = run("-f", str(listed), "-t", "200", "--", *command, env=environment, cwd=fleet.directory)
    lines = (
        "The stall-limit was passed over: it needs --broker",
        "started-after was passed over: it needs --broker",
    )
    assert said.timeless == well(*lines)


def wait_until_logged(fleet: Fleet, log: str, *words: str) -> None:
    wait_for(lambda: all(word in fleet.logs()[log] for word in words), f"{log} does not say {words}")


MAIL = """
from celery import shared_task


@shared_task(name={name!r})
def mail():
    pass
"""


def test_an_old_worker_throws_tasks_away_and_the_check_says_so_beforehand(redis: Redis, tmp_path: Path) -> None:
    shop = Deployment(tmp_path / "shop")
    shop.deploy("a", MAIL.format(name="shop.mail"))
    after = ("--started-after", str(shop.current), *NO_GRACE)
    with Fleet(
        broker=redis.url.removesuffix("0") + "1",
        settings="import shop",
        environment={"PYTHONPATH": str(shop.current)},
    ) as shops:
        shops.start("w-1@a", queues=("letters",))
        shops.send("shop.mail", queue="letters")
        wait_until_logged(shops, "worker-0.log", "Task shop.mail[", "succeeded")
        wait_until_old(shops, "w-1@a")
        shop.deploy("b", MAIL.format(name="shop.send_mail"))
        shops.start("w-2@a", queues=("emails",))
        assert check(shops, *after, expected=("w-2@a",)) == old({"w-1@a": shop.current}, of=2)
        for queue in ("letters", "emails"):
            shops.send("shop.send_mail", queue=queue)
        wait_until_logged(shops, "worker-0.log", "Received unregistered task of type 'shop.send_mail'")
        wait_until_logged(shops, "worker-1.log", "Task shop.send_mail[", "succeeded")
        shops.kill("w-1@a")
        shops.start("w-1@a", queues=("letters",))
        shops.send("shop.send_mail", queue="letters")
        wait_until_logged(shops, "worker-2.log", "Task shop.send_mail[", "succeeded")
        # The task that was thrown away did not come back.
        assert shops.logs()["worker-2.log"].count("succeeded") == 1
        numbers = perfdata(missing="0;;0;0;2", online="2;;;0", time="0.5s;;;0")
        assert check(shops, *after, expected=("w-2@a",)) == Outcome(
            f"CELERY WORKERS OK - 2 of 2 workers online on 1 server | {numbers}\n", OK
        )
