"""contrib/icingaweb2-graphite: from a real icinga2, through Graphite, to the graphite module of Icinga Web.

`PYTHONPATH=tests/lib:tests .venv/bin/python tests/live/test_graphite.py` draws the picture of its README again.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from daemons import daemon, executable
from icinga2 import SERVICES, Icinga2, host
from paths import CONTRIB
from processes import free_port, run_merged, wait_for
from running import PLUGIN, check

pytestmark = pytest.mark.daemon

TEMPLATES = CONTRIB / "icingaweb2-graphite" / "celery_workers.ini"
PICTURE = CONTRIB / "icingaweb2-graphite" / "celery_workers.png"
CHECK_COMMAND = (CONTRIB / "icinga2" / "check_celery_workers.conf").read_text(encoding="utf-8")
MODULE = Path("/usr/share/icingaweb2/modules/graphite")
DEBIANS_PYTHON = "/usr/bin/python3"
QUEUES = """\
->  worker-1@app1: OK
    * {'name': 'celery', 'exchange': {'name': 'celery'}, 'routing_key': 'celery'}
->  stranger@app2: OK
    * {'name': 'celery', 'exchange': {'name': 'celery'}, 'routing_key': 'celery'}

2 nodes online.
"""
TASKS = """\
->  worker-1@app1: OK
    - empty -
->  stranger@app2: OK
    - empty -

2 nodes online.
"""
CARBON = """\
[cache]
STORAGE_DIR = {directory}
LOCAL_DATA_DIR = {directory}
CONF_DIR = {directory}
LOG_DIR = {directory}
PID_DIR = {directory}
USER =
MAX_CREATES_PER_MINUTE = inf
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {line}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickle}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query}
ENABLE_TAGS = False
"""
STORAGE_SCHEMAS = """\
[all]
pattern = .*
retentions = {retentions}
"""
WEB = """\
SECRET_KEY = "of a test"
GRAPHITE_ROOT = "/usr/share/graphite-web"
CONF_DIR = STORAGE_DIR = WHISPER_DIR = LOG_DIR = {directory!r}
INDEX_FILE = STORAGE_DIR + "/index"
DEFAULT_CACHE_DURATION = FIND_CACHE_DURATION = 0
CARBONLINK_HOSTS = ["127.0.0.1:{query}"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": STORAGE_DIR + "/web.db"}}}}
"""
WRITER = """\
object GraphiteWriter "graphite" {{
	host = "127.0.0.1"
	port = {port}
	enable_send_thresholds = true
}}
"""
CURVES = 11
# Prints the curves and the picture of each graph, by its name.
RENDER = r"""<?php
require_once '/usr/share/php/Icinga/Application/EmbeddedWeb.php';

use Icinga\Module\Graphite\Graphing\{GraphiteWebClient, MetricsDataSource, Templates};
use Icinga\Module\Graphite\Util\MacroTemplate;
use Icinga\Module\Graphite\Web\{FakeSchemeRequest, Widget\GraphImage};

[, $module, $templates, $url, $from, $until, $width, $height] = $argv;
Icinga\Application\EmbeddedWeb::start('/usr/share/icingaweb2')->getModuleManager()->loadModule('graphite', $module);
$source = new MetricsDataSource(new GraphiteWebClient(Icinga\Web\Url::fromPath($url, [], new FakeSchemeRequest())));
$service = ['host.name' => 'app1', 'service.name' => 'celery-workers', 'service.check_command' => 'celery_workers'];
$graphs = [];
foreach ((new Templates())->loadIni($templates)->getTemplates('celery_workers') as $name => $template) {
    foreach ($template->getCharts($source, null, $service) as $chart) {
        $chart->setFrom($from)->setUntil($until)->setWidth($width)->setHeight($height)->setShowLegend(true);
        $chart->setBackgroundColor('white')->setForegroundColor('black')->setMinorGridLineColor('white');
        $picture = (new GraphImage($chart))->render();
        $template->setUrlParams($template->getUrlParams() + ['format' => new MacroTemplate('json')]);
        $curves = json_decode((new GraphImage($chart))->render());
        $graphs[$name] = ['picture' => base64_encode($picture), 'curves' => $curves];
    }
}
echo "\n", json_encode($graphs);
"""


class Graph(NamedTuple):
    """A graph of Icinga Web's: the values of each curve, oldest first, and the picture."""

    curves: dict[str, list[float]]
    picture: bytes


class Graphite(NamedTuple):
    """A running Graphite."""

    directory: Path
    line_port: int
    web_port: int

    def graphs(
        self, *, start: int = -600, end: int | None = None, size: tuple[int, int] = (300, 120)
    ) -> dict[str, Graph]:
        """Return what Icinga Web would show for this time; CalledProcessError if Graphite fails."""
        script = self.directory / "render.php"
        script.write_text(RENDER, encoding="utf-8")
        time = (str(start), "" if end is None else str(end))
        command = (executable("php", package="php-cli"), script, MODULE, TEMPLATES, f"http://127.0.0.1:{self.web_port}")
        environment = {**os.environ, "ICINGAWEB_CONFIGDIR": str(self.directory)}
        done = run_merged(*command, *time, *map(str, size), env=environment)
        done.check_returncode()
        graphs = {}
        for name, graph in dict(json.loads(done.stdout.splitlines()[-1])).items():
            curves = {
                curve["target"]: [value for value, _ in curve["datapoints"] if value is not None]
                for curve in graph["curves"]
            }
            graphs[name] = Graph(curves, base64.b64decode(graph["picture"]))
        return graphs


@contextmanager
def graphite(directory: Path, retentions: str = "1s:1h") -> Iterator[Graphite]:
    """Run carbon-cache and graphite-web, which keep each second's values unless `retentions` says otherwise."""
    if not MODULE.exists():
        pytest.skip("needs icingaweb2-module-graphite: apt-get install icingaweb2-module-graphite")
    carbon = executable("carbon-cache", package="graphite-carbon")
    executable("graphite-manage", package="graphite-web")
    ports = {name: free_port() for name in ("line", "pickle", "query", "web")}
    directory.mkdir()
    (directory / "carbon.conf").write_text(CARBON.format(directory=directory, **ports), encoding="utf-8")
    (directory / "storage-schemas.conf").write_text(STORAGE_SCHEMAS.format(retentions=retentions), encoding="utf-8")
    (directory / "web_settings.py").write_text(WEB.format(directory=str(directory), **ports), encoding="utf-8")
    settings = {"GRAPHITE_SETTINGS_MODULE": "web_settings", "DJANGO_SETTINGS_MODULE": "graphite.settings"}
    environment = {**os.environ, **settings, "PYTHONPATH": str(directory)}
    django = (DEBIANS_PYTHON, "-m", "django")
    subprocess.run((*django, "migrate", "--run-syncdb"), env=environment, capture_output=True, check=True)
    configuration = f"--config={directory / 'carbon.conf'}"
    serve = (*django, "runserver", "--noreload", f"127.0.0.1:{ports['web']}")
    with daemon(carbon, "--nodaemon", configuration, "start", log=directory / "carbon.out") as cache:
        cache.wait_for_port(ports["line"])
        with daemon(*serve, log=directory / "web.out", env=environment) as web:
            web.wait_for_port(ports["web"])
            yield Graphite(directory, ports["line"], ports["web"])


def test_graphs_show_what_the_plugin_counts(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "check_celery_workers").symlink_to(PLUGIN)
    for question, text in (("active_queues", QUEUES), ("active", TASKS)):
        (tmp_path / question).write_text(text, encoding="utf-8")
    variables = {
        "celery_workers_expect": ["worker-1..3@app1"],
        "celery_workers_queue": ["emails"],
        "celery_workers_task_limit": ["3600"],
        "celery_workers_command": ["cat", f"{tmp_path}/{{}}"],
    }
    with graphite(tmp_path / "graphite") as running:
        files = {
            "conf.d/check_celery_workers.conf": CHECK_COMMAND,
            "conf.d/celery_workers_services.conf": SERVICES,
            "conf.d/hosts.conf": host("app1", "locally", variables),
            "conf.d/graphite.conf": WRITER.format(port=running.line_port),
        }
        with Icinga2(tmp_path / "icinga2", plugins, files).running():
            graphs: dict[str, Graph] = {}

            def come() -> bool:
                # Graphite may read a file that it has not yet written.
                with suppress(subprocess.CalledProcessError):
                    graphs.update(running.graphs())
                return sum(bool(values) for graph in graphs.values() for values in graph.curves.values()) == CURVES

            wait_for(come, "not all curves are there")
    last = {name: {curve: values[-1] for curve, values in graph.curves.items()} for name, graph in graphs.items()}
    assert list(last.pop("celery_workers-time")) == ["seconds"]
    assert last == {
        "celery_workers": {"expected": 3, "online": 2, "missing": 2, "malfunctioning": 0, "unexpected": 1},
        "celery_workers-queues": {"queues": 1},
        "celery_workers-tasks": {"oldest task": 0},
        "celery_workers-servers": {"missing servers": 0, "unexpected servers": 1, "duplicate names": 0},
    }
    assert all(graph.picture.startswith(b"\x89PNG") for graph in graphs.values())


HOUR, STEP = 3600, 300
FLEET = [f"worker-{index}@app{server}" for server in (1, 2) for index in range(1, 7)]
# Of the picture's day, from which hour to which: the workers that do not answer, and those with endless tasks.
DEAD = ((2.5, 6.0, FLEET[:1]), (11.0, 11.2, FLEET), (11.2, 13.0, FLEET[6:9]))
STUCK = ((17.5, 21.0, FLEET[2:3]), (18.5, 21.0, FLEET[8:9]))
TASK = "    * {{'id': '0', 'name': 'shop.tasks.export', 'args': [], 'kwargs': {{}}, 'time_start': {start!r}}}\n"


def during(hour: float, spells: Iterable[tuple[float, float, list[str]]]) -> set[str]:
    """Return the workers of the spells at this hour."""
    return {node for start, end, nodes in spells if start <= hour < end for node in nodes}


def perfdata_at(hour: float) -> dict[str, str]:
    """Return the plugin's perfdata at this hour of the day."""
    online = [node for node in FLEET if node not in during(hour, DEAD)]
    if not online:
        return check("worker-6@app1", "worker-6@app2", text="Error: No nodes replied within time constraint\n").perfdata
    text = ""
    for node in online:
        seconds = 2 * HOUR if node in during(hour, STUCK) else 1
        text += f"->  {node}: OK\n{TASK.format(start=time.time() - seconds)}"
    text += f"\n{len(online)} nodes online.\n"
    return check("--task-limit", "3600", "worker-6@app1", "worker-6@app2", text=text).perfdata


def day(running: Graphite, midnight: int) -> dict[str, Graph]:
    """Return the graphs of a day that starts then, whose every five minutes Graphite is given."""
    prefix = "icinga2.app1.services.celery-workers.celery_workers.perfdata"
    lines = []
    for now in range(midnight, midnight + 24 * HOUR, STEP):
        for label, text in perfdata_at((now - midnight) / HOUR).items():
            value, *_, most = text.split(";")
            lines.append(f"{prefix}.{label}.value {value.rstrip('s')} {now}\n")
            lines += [f"{prefix}.missing.max {most} {now}\n"] if label == "missing" else []
    with socket.create_connection(("127.0.0.1", running.line_port)) as connection:
        connection.sendall("".join(lines).encode())
    points = 24 * HOUR // STEP
    graphs: dict[str, Graph] = {}

    def come() -> bool:
        with suppress(subprocess.CalledProcessError):
            graphs.update(running.graphs(start=midnight - 1, end=midnight + 24 * HOUR - 1, size=(800, 260)))
        curves = graphs["celery_workers"].curves if "celery_workers" in graphs else {}
        return [len(values) for values in curves.values()] == [points] * 5

    wait_for(come, "not all of the day is there")
    return graphs


def draw(directory: Path) -> Graph:
    """Return the graph of README, of yesterday."""
    with graphite(directory, f"{STEP}s:3d") as running:
        return day(running, int(time.time()) // (24 * HOUR) * 24 * HOUR - 24 * HOUR)["celery_workers"]


def test_the_picture_of_the_page_can_be_drawn_again(tmp_path: Path) -> None:
    graph = draw(tmp_path / "graphite")
    assert {name: max(values) for name, values in graph.curves.items()} == {
        "expected": 12,
        "online": 12,
        "missing": 12,
        "malfunctioning": 2,
        "unexpected": 0,
    }
    # Where it says how wide and high it is.
    assert graph.picture[:24] == PICTURE.read_bytes()[:24]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PICTURE.write_bytes(draw(Path(temporary) / "graphite").picture)
