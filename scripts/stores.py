"""Where telemetry ends up: a real Prometheus and a real OTLP collector, and what they stored.

The programs are Debian's prometheus and rotel-agent, from the PyPI package rotel. Both listen on free
loopback ports and keep what they have in the directory of the check.
"""

import collections
import importlib.util
import pathlib
import re
import signal
import time
import urllib.parse

from harness import Failed, Process, can_connect, eventually, expect, fetch_json, free_port, need

# Starting takes a second or two.
STARTED_WITHIN = 30.0
# A collector that was asked to end hands on what it has first.
COLLECTOR_ENDS_WITHIN = 15.0
CONFIGURATION = """\
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: belvedere
    static_configs: [{{ targets: ["127.0.0.1:{target}"] }}]
"""
PROTOCOLS = ("grpc", "http/protobuf")


class Prometheus(Process):
    """Scrapes one port every second and keeps exemplars."""

    def __init__(self, directory, target):
        self.port = free_port()
        configuration = pathlib.Path(directory) / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(target=target))
        command = [
            need("prometheus", "prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
        ]
        super().__init__("prometheus", command, directory)

    def __enter__(self):
        eventually("Prometheus to answer", STARTED_WITHIN, lambda: self._is_up())
        return self

    def _is_up(self):
        self.expect_running()
        try:
            return self.query("vector(1)")
        except (OSError, ValueError):
            return False

    def query(self, expression):
        """The series that answer an expression, as pairs of labels and value."""
        found = self._api("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    def value(self, expression):
        """The value of the one series that answers the expression, or None."""
        found = self.query(expression)
        return found[0][1] if len(found) == 1 else None

    def series(self, selector):
        """The labels of all series that were ever scraped."""
        return self._api("series", **{"match[]": selector})

    def exemplars(self, selector):
        """Pairs of a series' labels and the labels of an exemplar."""
        now = time.time()
        found = self._api("query_exemplars", query=selector, start=now - 600, end=now + 60)
        return [(one["seriesLabels"], e["labels"]) for one in found for e in one["exemplars"]]

    def _api(self, kind, **parameters):
        answer = fetch_json(f"http://127.0.0.1:{self.port}/api/v1/{kind}?{urllib.parse.urlencode(parameters)}")
        if answer.get("status") != "success":
            raise Failed(f"Prometheus refuses {parameters}: {answer.get('error')}")
        return answer["data"]


class Collector(Process):
    """Takes OTLP over both protocols, and prints all that it takes."""

    def __init__(self, directory, ports=None):
        self.ports = ports or {protocol: free_port() for protocol in PROTOCOLS}
        command = [rotel_agent(), "start", "--exporter", "blackhole"]
        command += ["--log-file", directory / "rotel-agent.own.log", "--pid-file", directory / "rotel-agent.pid"]
        command += ["--debug-log", "traces", "--debug-log", "logs", "--debug-log-verbosity", "detailed"]
        command += ["--otlp-grpc-endpoint", f"127.0.0.1:{self.ports['grpc']}"]
        command += ["--otlp-http-endpoint", f"127.0.0.1:{self.ports['http/protobuf']}"]
        super().__init__("rotel-agent", command, directory)

    def __enter__(self):
        eventually("the collector to listen", STARTED_WITHIN, lambda: self._listens())
        return self

    def _listens(self):
        self.expect_running()
        return all(can_connect(port) for port in self.ports.values())

    def variables(self, protocol):
        """The environment of a service that exports to it."""
        return otlp_to(self.ports[protocol], protocol)

    def received(self):
        return Received(self.text())

    def finish(self):
        """Asks it to end, and returns all that it ever took."""
        self.signal(signal.SIGTERM)
        self.exit_code(COLLECTOR_ENDS_WITHIN)
        return self.received()


def otlp_to(port, protocol):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        # The checks wait for every batch; their settings must not make that long.
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
    }


def rotel_agent():
    package = importlib.util.find_spec("rotel")
    expect(package is not None, "rotel is not installed (pip install rotel==0.0.1a15)")
    return pathlib.Path(package.origin).with_name("rotel-agent")


class Received:
    """What the collector's output says of spans and log records."""

    # An item begins with its number; what follows are its fields, then its attributes.
    BEGIN = re.compile(r"(Span|LogRecord) #\d+$")
    # Of a span: "    Trace ID       : 4bf9…"; of a log record also "SeverityText: INFO".
    FIELD = re.compile(r"(?: {4})?(\w[\w ]*?) *: ?(.*)$")
    ATTRIBUTE = re.compile(r" +-> ([^ :]+): (\w+)\((.*)\)$")
    SCOPE = "InstrumentationScope "

    def __init__(self, text):
        self.text = text
        self.spans, self.records, self.resources = [], [], []
        self._traces = None
        scope, item = "", None
        # Not splitlines(), which knows more ends of lines than the collector.
        for line in text.split("\n"):
            if line.startswith(("ResourceSpans #", "ResourceLog #")):
                item = {"attributes": {}}
                self.resources.append(item)
            elif line.startswith(self.SCOPE):
                scope, item = line.removeprefix(self.SCOPE).split(" ")[0], None
            elif begin := self.BEGIN.match(line):
                item = {"scope": scope, "attributes": {}}
                (self.spans if begin[1] == "Span" else self.records).append(item)
            elif item is not None:
                self._take(item, line)

    def _take(self, item, line):
        if attribute := self.ATTRIBUTE.match(line):
            name, kind, value = attribute.groups()
            item["attributes"][name] = int(value) if kind == "Int" else value
        elif field := self.FIELD.match(line):
            item[field[1]] = field[2]

    def of_trace(self, trace):
        """Its spans, and its log records."""
        if self._traces is None:
            self._traces = collections.defaultdict(lambda: ([], []))
            for kind, items in enumerate((self.spans, self.records)):
                for item in items:
                    self._traces[item.get("Trace ID")][kind].append(item)
        return self._traces[trace]
