"""What compose.yaml and the files that it mounts must be like, beyond their schema. scripts/check-compose applies it.

Each rule yields pairs of a place and what is wrong there. Each is tried on a spoilt copy too, because a rule that
finds nothing may as well look for nothing.
"""

import copy
import json
import pathlib
import re
import shlex
import tomllib

import yaml

OURS = "ghcr.io/belvedere-rs/belvedere"
PINNED = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*@sha256:[0-9a-f]{64}")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|PEPPER|DATABASE_URL")
# host:port as a program is told it: "tempo:4317", "http://loki:3100/otlp", "belvedere:8080".
TARGET = re.compile(r"(?:https?://)?([a-z][\w.-]+):(\d+)(?:/.*)?")
# Whose configuration names others by host and port.
TELLING = ("collector", "prometheus", "grafana-datasources")
# What the collector has had under these names and no longer has, or warns of.
OUTDATED = {"logging", "loki", "jaeger", "otlp", "otlphttp", "opencensus", "prometheus_exec"}
# Where those listen whose files do not say it.
USUAL_PORTS = {"database": {5432}, "prometheus": {9090}, "grafana": {3000}}


class Stack:
    """The compose file, and what its files say."""

    def __init__(self, root, compose):
        self.root, self.compose = root, compose
        self.services = compose["services"]
        self.image = dockerfile(root / "Dockerfile")
        self.texts = {name: (root / config["file"]).read_text() for name, config in compose["configs"].items()}
        parsed = lambda name: yaml.safe_load(self.texts[name])
        self.files = {name: parsed(name) for name in self.texts if compose["configs"][name]["file"].endswith((".yaml", ".json"))}
        self.settings = tomllib.loads(self.texts["belvedere"])
        self.version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]

    def listens(self):
        """The ports that each service is told to listen at."""
        collector, tempo, loki = (self.files[name] for name in ("collector", "tempo", "loki"))
        metrics = collector["service"]["telemetry"]["metrics"]["readers"]
        ports = {
            "belvedere": {port(self.image["environment"][f"APP_{section}__ADDR"]) for section in ("SERVER", "OPS")},
            "proxy": {int(found) for found in re.findall(r"^ +bind :(\d+)$", self.texts["proxy"], re.MULTILINE)},
            "collector": {*receivers(collector["receivers"]), *(reader["pull"]["exporter"]["prometheus"]["port"] for reader in metrics)},
            "tempo": {tempo["server"]["http_listen_port"], *receivers(tempo["distributor"]["receivers"])},
            "loki": {loki["server"]["http_listen_port"]},
        }
        return {**USUAL_PORTS, **ports}

    def reach(self, one, other):
        """Whether two services have a network in common."""
        networks = lambda name: set(self.services[name].get("networks", []))
        return bool(networks(one) & networks(other))

    def users_of(self, config):
        return [name for name, service in self.services.items() if any(one["source"] == config for one in service.get("configs", []))]


def port(address):
    return int(address.rpartition(":")[2])


def receivers(section):
    return {port(protocol["endpoint"]) for protocol in section["otlp"]["protocols"].values()}


def dockerfile(path):
    """What the last stage says of the container that comes of it."""
    text = re.sub(r"\\\n", " ", path.read_text())
    image = {"environment": {}}
    for instruction, rest in re.findall(r"^([A-Z]+) +(.*)$", text[text.rindex("\nFROM ") :], re.MULTILINE):
        if instruction == "ENV":
            image["environment"].update(pair.split("=", 1) for pair in shlex.split(rest))
        elif instruction in ("ENTRYPOINT", "CMD"):
            image[instruction.lower()] = json.loads(rest)
        elif instruction == "USER":
            image["user"] = rest
    return image


def pinned(stack):
    for name, service in stack.services.items():
        image = service["image"]
        if image.startswith(f"{OURS}:"):
            if image != f"{OURS}:{stack.version}":
                yield name, f"{image} is not of version {stack.version}"
        elif not PINNED.fullmatch(image):
            yield name, f"{image} has no version and digest"


def contained(stack):
    for name, service in stack.services.items():
        if service.get("read_only") is not True:
            yield name, "its root can be written"
        if service.get("cap_drop") != ["ALL"]:
            yield name, "it keeps capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield name, "it may gain privileges"
        if set(service) & {"privileged", "devices", "pid", "ipc", "userns_mode", "cgroup"} or service.get("network_mode", "none") != "none":
            yield name, "it shares something with the machine"
        if any(volume.startswith(("/", ".", "~")) for volume in service.get("volumes", [])):
            yield name, "it mounts a directory of the machine"


def unprivileged(stack):
    for name, service in stack.services.items():
        if not re.fullmatch(r"[1-9]\d*:\d+", service.get("user", "")):
            yield name, f"it runs as {service.get('user', 'whoever the image says')}"
        if service.get("cap_add"):
            yield name, f"it gets {service['cap_add']}"
    if stack.services["belvedere"]["user"] != stack.image["user"]:
        yield "belvedere", f"the image is made for the user {stack.image['user']}"


def bounded(stack):
    for name, service in stack.services.items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory", "pids"} <= set(limits):
            yield name, "it has not all limits"
        if "max-size" not in service.get("logging", {}).get("options", {}):
            yield name, "its log may fill the disk"


def lasting(stack):
    for name, service in stack.services.items():
        if runs_once(service):
            if not any(name in waiting(other) for other in stack.services.values()):
                yield name, "nothing waits for its end"
        elif service.get("restart") != "unless-stopped":
            yield name, "it is not restarted"
        elif "stop_grace_period" not in service:
            yield name, "nothing says how long it may take to stop"


def probed(stack):
    for name, service in stack.services.items():
        if not runs_once(service) and "test" not in service.get("healthcheck", {}):
            yield name, "it has no health check"
        for other, dependency in service.get("depends_on", {}).items():
            checked = "test" in stack.services[other].get("healthcheck", {})
            condition = dependency["condition"]
            right = "service_completed_successfully" if runs_once(stack.services[other]) else "service_healthy" if checked else "service_started"
            # Grafana shows what is there, and asks again for what is not yet.
            if condition != right and (name, other) != ("grafana", "prometheus"):
                yield name, f"it waits for {other} with {condition}, not {right}"


def runs_once(service):
    return service.get("restart") == "no"


def waiting(service):
    return {other for other, dependency in service.get("depends_on", {}).items() if dependency["condition"] == "service_completed_successfully"}


def published(stack):
    for name, service in stack.services.items():
        for entry in service.get("ports", []):
            address, _, inside = entry.rpartition(":")
            if not address.startswith("127.0.0.1:"):
                yield name, f"{entry} is open to the network"
            if int(inside) not in stack.listens()[name]:
                yield name, f"it does not listen at {inside}"
            if all((stack.compose["networks"][network] or {}).get("internal") for network in service["networks"]):
                yield name, "its networks are internal, which publish nothing"
        if "ports" not in service and name != "traffic":
            for network in service.get("networks", []):
                if not (stack.compose["networks"][network] or {}).get("internal"):
                    yield name, f"the network {network} leads out"
    for one, other in (("proxy", "database"), ("prometheus", "database"), ("grafana", "database"), ("traffic", "belvedere"), ("proxy", "collector")):
        if stack.reach(one, other):
            yield one, f"it can reach {other}"


def secret(stack):
    for name, service in stack.services.items():
        for variable in service.get("environment", {}):
            if SECRET.search(variable) and not variable.endswith("_FILE"):
                yield name, f"{variable} is a secret that everybody can see who can see the process"
        mounted = [volume.split(":") for volume in service.get("volumes", []) if volume.startswith("secrets")]
        if name != "secrets" and (len(mounted) > 1 or any(volume[2:] != ["ro"] for volume in mounted)):
            yield name, f"it mounts {mounted}"


def complete(stack):
    used = {
        "configs": {one["source"] for service in stack.services.values() for one in service.get("configs", [])},
        "volumes": {one.split(":")[0] for service in stack.services.values() for one in service.get("volumes", [])},
        "networks": {one for service in stack.services.values() for one in service.get("networks", [])},
    }
    for kind, names in used.items():
        for name in names ^ set(stack.compose[kind]):
            yield kind, f"{name} is not both declared and used"
    for config in stack.compose["configs"].values():
        path = stack.root / config["file"]
        if path.read_bytes().startswith(b"#!") and not path.stat().st_mode & 0o111:
            yield config["file"], "it is a script that cannot be executed"
    paths = (path.relative_to(stack.root) for path in (stack.root / "compose").rglob("*") if path.is_file())
    for path in {str(path) for path in paths} - {config["file"] for config in stack.compose["configs"].values()}:
        if "__pycache__" not in path:
            yield path, "nothing mounts it"


def addressed(stack):
    """Who is named by host and port can be reached by whoever names it, and listens there."""
    named = [(user, text) for config in TELLING for user in stack.users_of(config) for text in strings(stack.files[config])]
    named += [(name, str(value)) for name, service in stack.services.items() for value in service.get("environment", {}).values()]
    named += [(name, argument) for name, service in stack.services.items() for argument in service.get("command", [])]
    named += [("proxy", target) for target in re.findall(r"^ +server-template \w+ \d+ (\S+)", stack.texts["proxy"], re.MULTILINE)]
    named += [("belvedere", f"{stack.settings['database']['host']}:5432"), ("migrate", f"{stack.settings['database']['host']}:5432")]
    found = 0
    for user, text in named:
        if (match := TARGET.fullmatch(text)) and match[1] != "localhost":
            found += 1
            host, number = match[1], int(match[2])
            if host not in stack.services or number not in stack.listens()[host]:
                yield user, f"nobody listens at {text}"
            elif not stack.reach(user, host):
                yield user, f"{host} is in no network of it"
    if found < 12:
        yield "compose.yaml", f"only {found} addresses were found in all files"
    scraped = {scrape["job_name"] for scrape in stack.files["prometheus"]["scrape_configs"]}
    if scraped != {"belvedere", "prometheus", "collector", "tempo", "loki"}:
        yield "prometheus", f"it scrapes {sorted(scraped)}"


def strings(tree):
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(value)
    elif isinstance(tree, str):
        yield tree


def collects(stack):
    """The collector knows what its pipelines name, and its pipelines take and hand on what the service exports."""
    collector = stack.files["collector"]
    pipelines = collector["service"]["pipelines"]
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        for name in used ^ set(collector[kind]):
            yield "collector", f"{kind}: {name} is not both defined and used"
        for name in used:
            if kind == "exporters" and name.split("/")[0] in OUTDATED:
                yield "collector", f"{name} is not called so any more"
    environment = stack.services["belvedere"]["environment"]
    exported = {signal for signal in ("traces", "logs") if environment[f"OTEL_{signal.upper()}_EXPORTER"] == "otlp"}
    if set(pipelines) != exported:
        yield "collector", f"it has pipelines for {sorted(pipelines)}, the service exports {sorted(exported)}"
    for name, pipeline in pipelines.items():
        if pipeline["processors"][0] != "memory_limiter":
            yield "collector", f"{name}: the memory limiter is not the first"
    protocol = environment["OTEL_EXPORTER_OTLP_PROTOCOL"]
    endpoint = collector["receivers"]["otlp"]["protocols"].get("grpc" if protocol == "grpc" else "http", {}).get("endpoint", ":0")
    if port(environment["OTEL_EXPORTER_OTLP_ENDPOINT"]) != port(endpoint):
        yield "belvedere", f"it exports {protocol} to {environment['OTEL_EXPORTER_OTLP_ENDPOINT']}"


def stores(stack):
    """What the stores write is on their volumes, and they call nobody."""
    for name, paths in (("tempo", ("wal", "local")), ("loki", ())):
        volumes = [volume.split(":")[1] for volume in stack.services[name]["volumes"]]
        written = [stack.files["tempo"]["storage"]["trace"][part]["path"] for part in paths]
        if name == "loki":
            common = stack.files["loki"]["common"]
            written = [common["path_prefix"], stack.files["loki"]["compactor"]["working_directory"], *common["storage"]["filesystem"].values()]
        for path in written:
            if not any(pathlib.PurePath(path).is_relative_to(volume) for volume in volumes):
                yield name, f"it writes to {path}, which is not on its volume"
    if stack.files["tempo"]["usage_report"]["reporting_enabled"] or stack.files["loki"]["analytics"]["reporting_enabled"]:
        yield "stores", "they report usage"
    hours = {stack.files["tempo"]["compactor"]["compaction"]["block_retention"], stack.files["loki"]["limits_config"]["retention_period"]}
    days = [option.partition("=")[2] for option in stack.services["prometheus"]["command"] if "retention.time" in option]
    if hours != {f"{24 * int(days[0].removesuffix('d'))}h"}:
        yield "stores", f"Prometheus keeps {days}, the others {hours}"


def shows(stack):
    """Grafana has what the dashboard and its own links lead to."""
    sources = {source["uid"]: source for source in stack.files["grafana-datasources"]["datasources"]}
    if len(sources) != len(stack.files["grafana-datasources"]["datasources"]) or sum(bool(one.get("isDefault")) for one in sources.values()) != 1:
        yield "grafana", "uids are not unique, or there is not one default"
    dashboard = stack.files["dashboard"]
    variables = {variable["name"]: variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "datasource"}
    for kind, uid in sorted(set(referenced(dashboard))):
        chosen = variables.get(uid.strip("${}")) if uid.startswith("$") else sources.get(uid, {}).get("type")
        if chosen != kind or kind not in {source["type"] for source in sources.values()}:
            yield "dashboard.json", f"there is no data source {uid} of type {kind}"
    linked = [link["datasourceUid"] for source in sources.values() for link in nested(source["jsonData"]) if "datasourceUid" in link]
    if len(linked) < 4 or set(linked) - set(sources):
        yield "grafana", f"links lead to {linked}"
    exemplars = [link["name"] for link in sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]]
    if exemplars != ["trace_id"] or "--enable-feature=exemplar-storage" not in stack.services["prometheus"]["command"]:
        yield "grafana", "exemplars lead nowhere"
    for text in strings(stack.files["grafana-datasources"]):
        if re.search(r"(?<!\$)\$\{?__", text):
            yield "grafana", f"{text!r} would be expanded at the start: a dollar is written twice"
    targets = {one["source"]: pathlib.PurePath(one["target"]) for one in stack.services["grafana"]["configs"]}
    [provider] = stack.files["grafana-dashboards"]["providers"]
    home = stack.services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    if str(targets["dashboard"]) != home or str(targets["dashboard"].parent) != provider["options"]["path"]:
        yield "grafana", f"the dashboard is at {targets['dashboard']}, not where it is looked for"
    for source, directory in (("grafana-datasources", "datasources"), ("grafana-dashboards", "dashboards")):
        if str(targets[source].parent) != f"/etc/grafana/provisioning/{directory}":
            yield "grafana", f"it does not look for {directory} at {targets[source]}"


def nested(tree):
    """All mappings in it."""
    if isinstance(tree, dict):
        yield tree
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nested(value)


def referenced(dashboard):
    """Kind and uid of the data sources, but for Grafana itself."""
    for mapping in nested(dashboard):
        source = mapping.get("datasource")
        if isinstance(source, dict) and source["type"] != "grafana":
            yield source["type"], source["uid"]


def change(*path, to=None):
    """A mutation: sets what is at the path, or removes it."""

    def spoil(stack):
        *way, last = path
        place = stack
        for step in way:
            place = getattr(place, step) if isinstance(place, Stack) else place[step]
        if to is None:
            del place[last]
        else:
            place[last] = to

    return spoil


# The rules, each with mutations of which it must find every one.
RULES = {
    pinned: [
        change("services", "proxy", "image", to="haproxy:3.2"),
        change("services", "tempo", "image", to="grafana/tempo@sha256:" + 64 * "0"),
        change("services", "migrate", "image", to=f"{OURS}:latest"),
    ],
    contained: [
        change("services", "belvedere", "read_only"),
        change("services", "loki", "cap_drop", to=["NET_RAW"]),
        change("services", "grafana", "security_opt"),
        change("services", "proxy", "network_mode", to="host"),
        change("services", "traffic", "volumes", to=["/var/run/docker.sock:/var/run/docker.sock"]),
    ],
    unprivileged: [
        change("services", "database", "user"),
        change("services", "proxy", "user", to="0:0"),
        change("services", "migrate", "cap_add", to=["NET_ADMIN"]),
        change("services", "belvedere", "user", to="1000:1000"),
    ],
    bounded: [change("services", "prometheus", "deploy", "resources", "limits", "memory"), change("services", "proxy", "logging")],
    lasting: [
        change("services", "proxy", "restart"),
        change("services", "grafana", "restart", to="no"),
        change("services", "belvedere", "stop_grace_period"),
    ],
    probed: [
        change("services", "belvedere", "healthcheck"),
        change("services", "belvedere", "depends_on", "migrate", "condition", to="service_started"),
    ],
    published: [
        change("services", "grafana", "ports", to=["3000:3000"]),
        change("services", "proxy", "ports", to=["127.0.0.1:8080:80"]),
        change("services", "proxy", "networks", to=["edge"]),
        change("services", "database", "networks", to=["data", "published"]),
        change("services", "prometheus", "networks", to=["published", "telemetry", "data"]),
    ],
    secret: [
        change("services", "belvedere", "environment", "APP_OPS__TOKEN", to="x"),
        change("services", "migrate", "volumes", to=["secrets-belvedere:/run/secrets/belvedere"]),
    ],
    complete: [
        change("services", "proxy", "configs"),
        change("compose", "volumes", "tempo"),
        change("compose", "networks", "more", to={}),
        change("compose", "configs", "proxy", "file", to="compose/belvedere.toml"),
    ],
    addressed: [
        change("services", "belvedere", "environment", "OTEL_EXPORTER_OTLP_ENDPOINT", to="http://collector:4318"),
        change("services", "collector", "networks", to=["data"]),
        change("files", "collector", "exporters", "otlp_grpc/tempo", "endpoint", to="jaeger:4317"),
        change("files", "loki", "server", "http_listen_port", to=3101),
        change("settings", "database", "host", to="localhost.localdomain"),
    ],
    collects: [
        change("files", "collector", "exporters", "otlp_http/loki"),
        change("files", "collector", "service", "pipelines", "logs"),
        change("files", "collector", "service", "pipelines", "traces", "processors", to=["batch", "memory_limiter"]),
        change("files", "collector", "receivers", "otlp", "protocols", "grpc", "endpoint", to="0.0.0.0:4320"),
    ],
    stores: [
        change("files", "tempo", "storage", "trace", "wal", "path", to="/tmp/wal"),
        change("files", "loki", "common", "path_prefix", to="/tmp/loki"),
        change("files", "loki", "analytics", "reporting_enabled", to=True),
        change("files", "loki", "limits_config", "retention_period", to="24h"),
    ],
    shows: [
        change("files", "grafana-datasources", "datasources", 0, "uid", to="other"),
        change("files", "grafana-datasources", "datasources", 0, "type", to="loki"),
        change("files", "grafana-datasources", "datasources", 1, "jsonData", "tracesToLogsV2", "query", to="${__trace.traceId}"),
        change("files", "dashboard", "templating", "list", 0, "query", to="graphite"),
        change("files", "grafana-dashboards", "providers", 0, "options", "path", to="/dashboards"),
    ],
}


def faults(stack):
    """What is wrong, as rule, place and words."""
    for rule in RULES:
        yield from ((rule.__name__, place, what) for place, what in rule(stack))


def blind(stack):
    """Mutations that their rule does not find."""
    for rule, mutations in RULES.items():
        known = set(rule(stack))
        for number, spoil in enumerate(mutations, 1):
            spoilt = copy.deepcopy(stack)
            spoil(spoilt)
            try:
                found = set(rule(spoilt)) - known
            except (KeyError, IndexError):
                found = {"it stumbled"}
            if not found:
                yield f"{rule.__name__}: mutation {number} of {len(mutations)}"
