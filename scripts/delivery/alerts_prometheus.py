"""A Prometheus that scrapes several replicas and minds the rules, for the checks of the rules."""

import pathlib

import yaml

from harness import Process, fetch_json, free_port, need
from stores import Prometheus

JOB = "belvedere"


class Watch(Prometheus):
    """Scrapes every second and evaluates the rules as often. Targets are pairs of a port and more labels."""

    def __init__(self, directory, targets, rules):
        self.port = free_port()
        directory = pathlib.Path(directory)
        configuration = directory / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(configured(targets, rules)))
        command = [
            need("prometheus", "prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
        ]
        # Not the parent's, which scrapes one port.
        Process.__init__(self, "prometheus", command, directory)

    def alerts(self, state="firing"):
        """Those in this state: their labels, and their annotations as they would be sent."""
        found = fetch_json(f"http://127.0.0.1:{self.port}/api/v1/alerts?")["data"]["alerts"]
        return [(alert["labels"], alert["annotations"]) for alert in found if alert["state"] == state]

    def faulty_rules(self):
        """Rules whose last evaluation went wrong, with what Prometheus says."""
        groups = fetch_json(f"http://127.0.0.1:{self.port}/api/v1/rules?")["data"]["groups"]
        return [(rule["name"], rule["lastError"]) for group in groups for rule in group["rules"] if rule.get("lastError")]


def configured(targets, rules):
    static = [{"targets": [f"127.0.0.1:{port}"], "labels": labels} for port, labels in targets]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": JOB, "static_configs": static}],
    }
