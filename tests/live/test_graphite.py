"""contrib/icingaweb2-graphite: from a real icinga2, through Graphite, to the graphite module of Icinga Web."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from daemons import daemon, executable
from icinga2 import SERVICES, Icinga2, host
from paths import CONTRIB
from processes import free_port, run_merged, wait_for
from running import PLUGIN

pytestmark = pytest.mark.daemon

TEMPLATES = CONTRIB / "icingaweb2-graphite" / "celery_workers.ini"
CHECK_COMMAND = (CONTRIB / "icinga2" / "check_celery_workers.conf").read_text(encoding="utf-8")
MODULE = Path("/usr/share/icingaweb2/modules/graphite")
DEBIANS_PYTHON = "/usr/bin/python3"
STATUS = """\
->  worker-1@app1: OK
->  stranger@app2: OK

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
retentions = 1s:1h
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
CURVES = 8
# Prints each graph's curves by the graph's name, and how its picture starts.
RENDER = r"""<?php
require_once '/usr/share/php/Icinga/Application/EmbeddedWeb.php';

use Icinga\Module\Graphite\Graphing\{GraphiteWebClient, MetricsDataSource, Templates};
use Icinga\Module\Graphite\Util\MacroTemplate;
use Icinga\Module\Graphite\Web\{FakeSchemeRequest, Widget\GraphImage};

[, $module, $templates, $url] = $argv;
Icinga\Application\EmbeddedWeb::start('/usr/share/icingaweb2')->getModuleManager()->loadModule('graphite', $module);
$source = new MetricsDataSource(new GraphiteWebClient(Icinga\Web\Url::fromPath($url, [], new FakeSchemeRequest())));
$service = ['host.name' => 'app1', 'service.name' => 'celery-workers', 'service.check_command' => 'celery_workers'];
$told = [];
foreach ((new Templates())->loadIni($templates)->getTemplates('celery_workers') as $name => $template) {
    foreach ($template->getCharts($source, null, $service) as $chart) {
        $chart->setFrom('-600');
        $picture = (new GraphImage($chart))->render();
        $template->setUrlParams($template->getUrlParams() + ['format' => new MacroTemplate('json')]);
        $curves = json_decode((new GraphImage($chart))->render());
        $told[$name] = ['picture' => bin2hex(substr($picture, 0, 4)), 'curves' => $curves];
    }
}
echo "\n", json_encode($told);
"""


class Graphite(NamedTuple):
    """A running Graphite."""

    directory: Path
    line_port: int
    web_port: int

    def graphs(self) -> dict[str, dict[str, float]]:
        """Return of each graph that Icinga Web would show those curves that have values, with the last of them.

        CalledProcessError where Graphite cannot tell.
        """
        script = self.directory / "render.php"
        script.write_text(RENDER, encoding="utf-8")
        command = (executable("php", package="php-cli"), script, MODULE, TEMPLATES, f"http://127.0.0.1:{self.web_port}")
        done = run_merged(*command, env={**os.environ, "ICINGAWEB_CONFIGDIR": str(self.directory)})
        done.check_returncode()
        graphs = {}
        for name, graph in dict(json.loads(done.stdout.splitlines()[-1])).items():
            assert bytes.fromhex(graph["picture"]) == b"\x89PNG"
            points = ((curve["target"], value) for curve in graph["curves"] for value, _ in curve["datapoints"])
            graphs[name] = {target: value for target, value in points if value is not None}
        return graphs


@contextmanager
def graphite(directory: Path) -> Iterator[Graphite]:
    """Run carbon-cache and graphite-web, which keep each second's values."""
    carbon = executable("carbon-cache", package="graphite-carbon")
    executable("graphite-manage", package="graphite-web")
    ports = {name: free_port() for name in ("line", "pickle", "query", "web")}
    directory.mkdir()
    (directory / "carbon.conf").write_text(CARBON.format(directory=directory, **ports), encoding="utf-8")
    (directory / "storage-schemas.conf").write_text(STORAGE_SCHEMAS, encoding="utf-8")
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
    if not MODULE.exists():
        pytest.skip("needs icingaweb2-module-graphite: apt-get install icingaweb2-module-graphite")
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "check_celery_workers").symlink_to(PLUGIN)
    status = tmp_path / "status"
    status.write_text(STATUS, encoding="utf-8")
    variables = {"celery_workers_expect": ["worker-1..3@app1"], "celery_workers_command": ["cat", str(status)]}
    with graphite(tmp_path / "graphite") as running:
        files = {
            "conf.d/check_celery_workers.conf": CHECK_COMMAND,
            "conf.d/celery_workers_services.conf": SERVICES,
            "conf.d/hosts.conf": host("app1", "locally", variables),
            "conf.d/graphite.conf": WRITER.format(port=running.line_port),
        }
        with Icinga2(tmp_path / "icinga2", plugins, files).running():
            shown: dict[str, dict[str, float]] = {}

            def come() -> bool:
                # Graphite may read a file that it has not yet written.
                with suppress(subprocess.CalledProcessError):
                    shown.update(running.graphs())
                return sum(map(len, shown.values())) == CURVES

            wait_for(come, "not all curves are there")
    assert shown["celery_workers"] == {"expected": 3, "online": 2, "missing": 2, "unexpected": 1}
    assert shown["celery_workers-faulty"] == {"malfunctioning": 0, "duplicate": 0, "missing servers": 0}
    assert list(shown["celery_workers-time"]) == ["seconds"]
