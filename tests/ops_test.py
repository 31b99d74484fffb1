"""What an operator is given in docs/ops: the alert rules, the dashboard and the unit of systemd.

Run as it is, or by ctest. What needs promtool or systemd-analyze is skipped where they are not installed.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parent.parent)
OPS = SOURCE_DIR / "docs" / "ops"

# What /metrics has, with the labels beside instance and job: names that operators build upon.
COUNTERS_AND_GAUGES = {
    "colloquy_http_requests_total": {"route", "method", "status"},
    "colloquy_http_connections": set(),
    "colloquy_http_streams": set(),
    "colloquy_http_requests_rejected_total": {"reason"},
    "colloquy_sessions_resident": set(),
    "colloquy_sessions_refused_total": set(),
    "colloquy_turns_started_total": set(),
    "colloquy_turns_ended_total": {"outcome"},
    "colloquy_undurable_bytes": set(),
    "colloquy_undurable_bytes_max": set(),
    "colloquy_writes_queued": set(),
    "colloquy_batches_in_flight": set(),
    "colloquy_persistence_lag_seconds": set(),
    "colloquy_database_up": set(),
    "colloquy_pool_connections": {"state"},
    "colloquy_pool_waiting": set(),
    "colloquy_pool_errors_total": {"kind"},
    "colloquy_journal_bytes": set(),
    "colloquy_tenant_requests_total": {"tenant"},
    "colloquy_tenant_rejected_total": {"tenant", "reason"},
}
HISTOGRAMS = {
    "colloquy_http_request_duration_seconds": {"route"},
    "colloquy_append_durable_duration_seconds": set(),
    "colloquy_pool_wait_seconds": set(),
    "colloquy_pool_query_seconds": set(),
}
SERIES = dict(COUNTERS_AND_GAUGES)
for name, labels in HISTOGRAMS.items():
    SERIES |= {name + "_bucket": labels | {"le"}, name + "_sum": labels, name + "_count": labels}

METRIC = re.compile(r"\bcolloquy_\w+")
LABELS = re.compile(r"\b(colloquy_\w+)\{([^}\"]*(?:\"[^\"]*\"[^}\"]*)*)\}")
GROUPING = re.compile(r"\bby \(([^)]*)\)")


def dashboard_expressions():
    dashboard = json.loads((OPS / "grafana-dashboard.json").read_text())
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


def rules_text():
    """The rules without comments and annotations, which may name settings."""
    lines = (OPS / "prometheus-alerts.yml").read_text().splitlines()
    return "\n".join(line for line in lines if not re.match(r"\s*(#|summary:|description:)", line))


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **more)
    return done.returncode, done.stdout + done.stderr


def complaints(expression):
    found = []
    names = METRIC.findall(expression)
    found += [f"there is no metric {name}" for name in names if name not in SERIES]
    allowed = {"instance", "job"}.union(*(SERIES.get(name, set()) for name in names))
    used = {re.match(r"\s*(\w+)", part).group(1) for _, inside in LABELS.findall(expression)
            for part in inside.split(",") if part.strip()}
    used |= {label.strip() for group in GROUPING.findall(expression) for label in group.split(",")}
    return found + [f"none of its metrics has the label {label}" for label in used - allowed]


class Metrics(unittest.TestCase):
    def test_rules_and_dashboard_name_what_there_is(self):
        expressions = dashboard_expressions()
        self.assertGreater(len(expressions), 20)
        for title, expression in expressions:
            self.assertEqual([], complaints(expression), title)
        for name in METRIC.findall(rules_text()):
            self.assertIn(name, SERIES)

    def test_every_metric_is_shown_or_watched(self):
        shown = " ".join(expression for _, expression in dashboard_expressions()) + rules_text()
        for name in list(COUNTERS_AND_GAUGES) + list(HISTOGRAMS):
            self.assertRegex(shown, rf"\b{name}(_bucket)?\b")

    def test_a_name_or_label_that_there_is_not_is_found(self):
        self.assertEqual([], complaints('sum by (route, le) (rate(colloquy_http_request_duration_seconds_bucket[5m]))'))
        self.assertNotEqual([], complaints("colloquy_http_request_total"))
        self.assertNotEqual([], complaints('colloquy_pool_connections{kind="idle"}'))
        self.assertNotEqual([], complaints("sum by (tenant) (colloquy_pool_waiting)"))

    def test_panels_do_not_lie_on_each_other(self):
        taken = {}
        for panel in json.loads((OPS / "grafana-dashboard.json").read_text())["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken[x, y] = panel["title"]


@unittest.skipUnless(shutil.which("promtool"), "promtool is not installed (package prometheus)")
class Rules(unittest.TestCase):
    def test_rules_are_well_formed(self):
        code, said = run("promtool", "check", "rules", str(OPS / "prometheus-alerts.yml"))
        self.assertEqual(0, code, said)

    def test_alerts_fire_when_they_should(self):
        code, said = run("promtool", "test", "rules", str(OPS / "prometheus-alerts.test.yml"))
        self.assertEqual(0, code, said)

    def test_the_dashboards_expressions_are_well_formed(self):
        rules = [{"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
                 for number, (_, expression) in enumerate(dashboard_expressions())]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rules.yml" # JSON is YAML
            file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
            code, said = run("promtool", "check", "rules", str(file))
        self.assertEqual(0, code, said)


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class Unit(unittest.TestCase):
    def test_the_unit_is_well_formed_and_walled_in(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "colloquy"
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
            unit = Path(folder) / "colloquy.service"
            unit.write_text((OPS / "colloquy.service").read_text().replace("/usr/local/bin/colloquy", str(program)))
            code, said = run("systemd-analyze", "verify", "--man=no", str(unit))
            self.assertEqual(0, code, said)
            self.assertNotIn("colloquy.service", said) # about other units of this machine it may say what it likes
            # 0 is nothing allowed, 10 everything; in tenths here.
            code, said = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit))
            self.assertEqual(0, code, said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
