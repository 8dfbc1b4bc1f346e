"""House rules for manifests, and the fields of Pod Security "restricted": what no schema says.

`findings(objects)` takes the objects of one installation and gives the rule and a sentence for each fault. Every rule
is a function of the world that these objects are; `scripts/check-kubernetes` breaks a sound world in many ways, and
each break must be found.
"""

import re
import tomllib

from kubernetes_manifests import NAMESPACE, ROOT, annotations

IMAGE = "ghcr.io/belvedere-rs/belvedere"
TEMPLATED = {"Deployment", "StatefulSet", "DaemonSet", "Job"}
LASTING = {"Deployment", "StatefulSet"}
# Kinds of volumes that "restricted" allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
LABELS = {"name", "instance", "component", "part-of"}
CLUSTER_WIDE = {"Namespace"}
# The service gives its database and its telemetry so long at the end (docs/operating.md).
AFTER_DRAIN = 7
# PostgreSQL's default of max_connections less what it reserves, and what is not the service's: docs/operating.md.
CONNECTIONS, OTHERS = 97, 6
# Other objects that each kind refers to by name; the user's own are named in values by the sets that need them.
USERS_OWN = {("ConfigMap", "belvedere-authorities")}


class Pod:
    """The template of pods, or a pod, with what owns it."""

    def __init__(self, owner):
        self.owner = owner
        template = owner["spec"]["template"] if owner["kind"] in TEMPLATED else owner
        self.spec = template["spec"]
        self.labels = template["metadata"].get("labels", {})
        self.name = name(owner)
        self.namespace = owner["metadata"].get("namespace")

    def containers(self, lasting=False):
        kinds = ["containers"] if lasting else ["initContainers", "containers", "ephemeralContainers"]
        return [container for kind in kinds for container in self.spec.get(kind) or []]

    def ports(self):
        return {port["name"]: port["containerPort"] for port in ports_of(self)}

    def resolves(self, port):
        """The number of a named or numbered port, if a container has it."""
        numbers = {entry["containerPort"] for entry in ports_of(self)}
        return self.ports().get(port) if isinstance(port, str) else port if port in numbers else None

    def volume(self, named):
        return next((volume for volume in self.spec.get("volumes") or [] if volume["name"] == named), None)

    def ours(self):
        return any(container["image"].startswith(IMAGE) for container in self.containers())


class World:
    """The objects of one installation."""

    def __init__(self, objects):
        self.objects = objects
        self.pods = [Pod(item) for item in objects if item["kind"] in TEMPLATED | {"Pod"}]

    def of(self, *kinds):
        return [item for item in self.objects if item["kind"] in kinds]

    def named(self, kind, wanted):
        return next((item for item in self.of(kind) if item["metadata"]["name"] == wanted), None)

    def selected(self, labels):
        return [pod for pod in self.pods if labels.items() <= pod.labels.items()]

    def settings(self, pod, container):
        """Name and content of the settings file that a container is started with."""
        path = argument(container, "--config")
        for mount in container.get("volumeMounts") or [] if path else []:
            directory, _, file = path.rpartition("/")
            volume = pod.volume(mount["name"]) or {}
            if mount["mountPath"] == directory and "configMap" in volume:
                config = self.named("ConfigMap", volume["configMap"]["name"]) or {"data": {}}
                key = next((item["key"] for item in volume["configMap"].get("items", []) if item["path"] == file), file)
                return tomllib.loads(config["data"].get(key, ""))
        return {}


def name(item):
    return f"{item['kind']} {item['metadata']['name']}"


def ports_of(pod):
    return [port for container in pod.containers() for port in container.get("ports") or []]


def argument(container, option):
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    return words[words.index(option) + 1] if option in words[:-1] else None


def seconds(text):
    """A duration of the settings."""
    amount, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
    return int(amount) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def mebibytes(quantity):
    amount, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()
    return int(amount) * {"Mi": 1, "Gi": 1024}[unit]


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


# Pod Security "restricted", of which "baseline" is a part.


def restricted(world):
    for pod in world.pods:
        for fault in [*baseline_of_pod(pod), *restricted_of_pod(pod)]:
            yield f"{pod.name}: {fault}"
        for container in pod.containers():
            for fault in [*baseline_of(container), *restricted_of(container, pod)]:
                yield f"{pod.name}, {container['name']}: {fault}"


def baseline_of_pod(pod):
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key):
            yield key
    context = pod.spec.get("securityContext") or {}
    yield from context_faults(context)
    for sysctl in context.get("sysctls") or []:
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']}"


def baseline_of(container):
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    yield from context_faults(context)
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"hostPort {port['hostPort']}"
    hooks = (container.get("lifecycle") or {}).values()
    probes = (container.get(key) or {} for key in ("startupProbe", "livenessProbe", "readinessProbe"))
    for handler in [*hooks, *probes]:
        for kind in ("httpGet", "tcpSocket"):
            if (handler.get(kind) or {}).get("host"):
                yield f"host in {kind}"


def context_faults(context):
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("user") or selinux.get("role"):
        yield "SELinux user or role"
    if selinux.get("type", "container_t") not in {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}:
        yield "SELinux type"
    if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in {"RuntimeDefault", "Localhost"}:
        yield "AppArmor profile"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"
    if (context.get("seccompProfile") or {}).get("type", "RuntimeDefault") not in {"RuntimeDefault", "Localhost"}:
        yield "seccomp profile"
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"


def restricted_of_pod(pod):
    for volume in pod.spec.get("volumes") or []:
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(kinds - VOLUMES)}"


def restricted_of(container, pod):
    of_pod, context = pod.spec.get("securityContext") or {}, container.get("securityContext") or {}
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities are not dropped"
    if not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield "capabilities are added"
    if context.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    if not (context.get("seccompProfile") or of_pod.get("seccompProfile")):
        yield "no seccomp profile"


# Beyond it.


def contained(world):
    for pod in world.pods:
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.name}: a token is mounted"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name}: enableServiceLinks"
        context = pod.spec.get("securityContext") or {}
        for container in pod.containers():
            where = f"{pod.name}, {container['name']}"
            if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
                yield f"{where}: its root can be written to"
        for volume in pod.spec.get("volumes") or []:
            if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
                yield f"{pod.name}: emptyDir {volume['name']} has no limit"
            # The mode in decimal: JSON and kustomize write it so.
            if "secret" in volume and volume["secret"].get("defaultMode", 0o644) & 0o337:
                yield f"{pod.name}: everybody may read {volume['name']}"
            if "secret" in volume and context.get("runAsUser") and not context.get("fsGroup"):
                yield f"{pod.name}: no fsGroup to read {volume['name']} by"
    for account in world.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{name(account)}: its token is mounted"


def own_account(world):
    for pod in world.pods:
        if pod.ours() and pod.spec.get("serviceAccountName", "default") == "default":
            yield f"{pod.name}: it has no account of its own"


def high_user(world):
    for pod in world.pods:
        user = (pod.spec.get("securityContext") or {}).get("runAsUser", 10000)
        if user < 10000:
            yield f"{pod.name}: user {user} may be one of the node's"


def resources(world):
    for pod in world.pods:
        for container in pod.containers():
            where, given = f"{pod.name}, {container['name']}", container.get("resources") or {}
            requests, limits = given.get("requests") or {}, given.get("limits") or {}
            for what in ("cpu", "memory", "ephemeral-storage"):
                if not requests.get(what):
                    yield f"{where}: requests no {what}"
            for what in ("memory", "ephemeral-storage"):
                if not limits.get(what):
                    yield f"{where}: no limit of {what}"
            if limits.get("memory") != requests.get("memory"):
                yield f"{where}: the limit of memory is not the request"
            settings = world.settings(pod, container)
            if settings and "serve" in container.get("args", []):
                password = settings.get("password", {})
                hashing = password.get("max_concurrent", 99) * password.get("memory_kib", 19456) / 1024
                if limits.get("memory") and 2 * hashing > mebibytes(limits["memory"]):
                    yield f"{where}: hashing may take {hashing:.0f} MiB, of which twice must fit"


def images(world):
    for pod in world.pods:
        for container in pod.containers():
            where, image = f"{pod.name}, {container['name']}", container["image"]
            if "@sha256:" not in image and image.rpartition(":")[2] in {"latest", image}:
                yield f"{where}: {image} is not fixed"
            if image.startswith(f"{IMAGE}:") and image != f"{IMAGE}:{version()}":
                yield f"{where}: {image} is not the workspace's version {version()}"
            if not container.get("imagePullPolicy"):
                yield f"{where}: no imagePullPolicy"


def secrets_as_files(world):
    for pod in world.pods:
        for container in pod.containers():
            where = f"{pod.name}, {container['name']}"
            if container.get("envFrom"):
                yield f"{where}: envFrom"
            for variable in container.get("env") or []:
                if "secretKeyRef" in (variable.get("valueFrom") or {}):
                    yield f"{where}: {variable['name']} is a secret in the environment"
                if re.search(r"(TOKEN|PASSWORD|SECRET|SIGNING_KEY|PEPPER|HEADERS)$|_URL$", variable["name"]) and "value" in variable:
                    yield f"{where}: {variable['name']} looks like a secret"


def secret_values(world):
    for item in world.of("Secret"):
        yield f"{name(item)}: a secret stands in the manifests"


def environment(world):
    """A reference is to a variable that stands above it; others are left as they are, without a word."""
    for pod in world.pods:
        for container in pod.containers():
            known = set()
            for variable in container.get("env") or []:
                for reference in re.findall(r"\$\((\w+)\)", variable.get("value") or ""):
                    if reference not in known:
                        yield f"{pod.name}, {container['name']}: {variable['name']} refers to {reference}, which is not above it"
                known.add(variable["name"])


def probes(world):
    for pod in world.pods:
        if pod.owner["kind"] not in LASTING:
            continue
        for container in pod.containers(lasting=True):
            where = f"{pod.name}, {container['name']}"
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind)
                if not probe:
                    yield f"{where}: no {kind}"
                elif "httpGet" in probe and pod.resolves(probe["httpGet"]["port"]) is None:
                    yield f"{where}: {kind} asks a port that is not there"
            settings = world.settings(pod, container)
            startup = container.get("startupProbe") or {}
            waits = seconds(settings.get("database", {}).get("connect_timeout", "1m"))
            if settings and startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3) <= waits:
                yield f"{where}: the startup probe gives up before the service does, after {waits:g} s"
            paths = {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
            for kind, path in paths.items() if settings else []:
                asked = (container.get(kind) or {}).get("httpGet") or {}
                if asked.get("path") != path or asked.get("port") != "ops":
                    yield f"{where}: {kind} does not ask {path} at ops"


def listeners(world):
    """Addresses in the settings are the ports of the container."""
    for pod in world.pods:
        for container in pod.containers(lasting=True):
            settings = world.settings(pod, container) if "serve" in container.get("args", []) else {}
            for port, section in (("http", "server"), ("ops", "ops")) if settings else []:
                address = settings.get(section, {}).get("addr", "")
                if address.rpartition(":")[2] != str(pod.ports().get(port)):
                    yield f"{pod.name}: {section}.addr = {address!r} is not the port {port}"


def grace(world):
    for pod in world.pods:
        for container in pod.containers(lasting=True):
            settings = world.settings(pod, container) if "serve" in container.get("args", []) else {}
            if not settings:
                continue
            server = settings.get("server", {})
            delay, timeout = seconds(server.get("drain_delay", "0s")), seconds(server.get("drain_timeout", "20s"))
            allowed = pod.spec.get("terminationGracePeriodSeconds", 30)
            if allowed <= delay + timeout + AFTER_DRAIN:
                yield f"{pod.name}: killed after {allowed} s, while it may take {delay:g} + {timeout:g} + {AFTER_DRAIN}"
            if delay < 5:
                yield f"{pod.name}: load balancers have {delay:g} s to notice that it ends, fewer than 5"


def production(world):
    """The settings are those of production, and nothing migrates by itself."""
    for pod in world.pods:
        for container in pod.containers():
            settings = world.settings(pod, container)
            if pod.ours() and argument(container, "--config") and not settings:
                yield f"{pod.name}, {container['name']}: its settings file is not mounted"
            if settings and settings.get("environment") != "production":
                yield f"{pod.name}, {container['name']}: not in production"
            if settings and settings.get("database", {}).get("migrate_on_start", False) is not False:
                yield f"{pod.name}, {container['name']}: it migrates at its start"


def updates(world):
    for item in world.of("Deployment"):
        rolling = (item["spec"].get("strategy") or {}).get("rollingUpdate") or {}
        if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
            yield f"{name(item)}: an update takes replicas away before there are new ones"


def spread(world):
    for pod in world.pods:
        if pod.owner["kind"] not in LASTING or pod.owner["spec"].get("replicas", 2) < 2:
            continue
        constraints = {entry["topologyKey"]: entry for entry in pod.spec.get("topologySpreadConstraints") or []}
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname"):
            if key not in constraints:
                yield f"{pod.name}: not spread over {key}"
        for key, entry in constraints.items():
            if not match(entry.get("labelSelector"), pod.labels):
                yield f"{pod.name}: what is spread over {key} is not these pods"


def match(selector, labels):
    """Whether a label selector means these labels; none means nothing, an empty one everything."""
    if selector is None:
        return False
    for expression in selector.get("matchExpressions") or []:
        if expression["operator"] == "In" and labels.get(expression["key"]) not in expression["values"]:
            return False
    return (selector.get("matchLabels") or {}).items() <= labels.items()


def replicas(world):
    """Who owns the number of replicas, and what a disruption may take of them."""
    owned = {}
    for scaler in world.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        deployment = world.named(target["kind"], target["name"])
        if not deployment:
            yield f"{name(scaler)}: there is no {target['kind']} {target['name']}"
            continue
        owned[deployment["metadata"]["name"]] = scaler["spec"].get("minReplicas", 1)
        if "replicas" in deployment["spec"]:
            yield f"{name(deployment)}: says a number of replicas, which is {name(scaler)}'s"
        if scaler["spec"]["maxReplicas"] < scaler["spec"].get("minReplicas", 1):
            yield f"{name(scaler)}: fewer at most than at least"
        for pod in world.pods:
            settings = [world.settings(pod, container) for container in pod.containers(lasting=True) if pod.owner is deployment]
            for database in [entry["database"] for entry in settings if "database" in entry]:
                surge = deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
                most = (scaler["spec"]["maxReplicas"] + surge) * (database.get("max_connections", 10) + 1) + OTHERS
                if most > CONNECTIONS:
                    yield f"{name(scaler)}: {most} connections at most, and PostgreSQL has {CONNECTIONS} by default"
    for deployment in world.of("Deployment"):
        count = owned.get(deployment["metadata"]["name"], deployment["spec"].get("replicas", 1))
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        budgets = [item for item in world.of("PodDisruptionBudget") if match(item["spec"]["selector"], labels)]
        if count > 1 and len(budgets) != 1:
            yield f"{name(deployment)}: {len(budgets)} disruption budgets for {count} replicas"
        for item in budgets:
            if count < 2 or item["spec"].get("maxUnavailable") != 1:
                yield f"{name(item)}: does not agree with {count} replicas"
            if item["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                yield f"{name(item)}: keeps pods that are not ready"


def selectors(world):
    for item in world.of("Deployment", "StatefulSet"):
        template = item["spec"]["template"]["metadata"].get("labels", {})
        if not match(item["spec"]["selector"], template):
            yield f"{name(item)}: its selector does not mean its pods"
    for item in world.of("Service"):
        for pod in (pods := world.selected(item["spec"].get("selector") or {})):
            for port in item["spec"]["ports"]:
                if pod.resolves(port.get("targetPort", port["port"])) is None:
                    yield f"{name(item)}: {pod.name} has no port {port.get('targetPort')}"
        if not pods or any(pod.owner["kind"] not in LASTING for pod in pods):
            yield f"{name(item)}: selects no pods, or too many"
    for item in world.of("PodDisruptionBudget"):
        if not any(match(item["spec"]["selector"], pod.labels) for pod in world.pods):
            yield f"{name(item)}: selects no pods"
    for item in world.of("NetworkPolicy"):
        if not any(match(item["spec"]["podSelector"], pod.labels) for pod in world.pods):
            yield f"{name(item)}: selects no pods"
    for item in world.of("ServiceMonitor"):
        services = [service for service in world.of("Service") if match(item["spec"]["selector"], service["metadata"]["labels"])]
        ports = {port["name"] for service in services for port in service["spec"]["ports"]}
        if len(services) != 1 or not {endpoint["port"] for endpoint in item["spec"]["endpoints"]} <= ports:
            yield f"{name(item)}: does not mean one Service and its port"
        for service in services:
            if service["metadata"]["labels"].get(item["spec"].get("jobLabel")) != "belvedere":
                yield f"{name(item)}: the job would not be called belvedere"


def backends(world):
    """Name of the Service, and name or number of its port, for whatever leads there from outside."""
    for item in world.of("Ingress"):
        for rule in item["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield item, service["name"], service["port"].get("name", service["port"].get("number"))
    for item in world.of("HTTPRoute"):
        for rule in item["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                yield item, backend["name"], backend["port"]
    for item in world.of("Route"):
        yield item, item["spec"]["to"]["name"], item["spec"]["port"]["targetPort"]


def exposure(world):
    """The public API alone leaves the cluster, and by TLS."""
    for item, service_name, wanted in backends(world):
        service = world.named("Service", service_name)
        ports = [port for port in (service or {"spec": {"ports": []}})["spec"]["ports"] if wanted in (port["name"], port["port"])]
        if not ports:
            yield f"{name(item)}: there is no port {wanted} of Service {service_name}"
        for port in ports:
            if port["name"] != "http" or port.get("targetPort") != "http":
                yield f"{name(item)}: exposes the port {port['name']}"
    for item in world.of("Service"):
        names = {port["name"] for port in item["spec"]["ports"]}
        if "ops" in names and (item["spec"].get("type", "ClusterIP") != "ClusterIP" or names != {"ops"}):
            yield f"{name(item)}: the operator's endpoints leave the cluster, or go with others"
    for item in world.of("Ingress"):
        hosts = {rule.get("host") for rule in item["spec"]["rules"]}
        if None in hosts or hosts != {host for entry in item["spec"].get("tls") or [] for host in entry["hosts"]}:
            yield f"{name(item)}: not every host has TLS"
    for item in world.of("Route"):
        tls = item["spec"].get("tls") or {}
        if tls.get("insecureEdgeTerminationPolicy") not in {"Redirect", "None"}:
            yield f"{name(item)}: plain HTTP is served"
    for pod in world.pods if list(backends(world)) else []:
        for container in pod.containers(lasting=True):
            settings = world.settings(pod, container) if "serve" in container.get("args", []) else None
            if settings is not None and not settings.get("server", {}).get("trusted_proxies"):
                yield f"{pod.name}: exposed, without trusted_proxies"


def network(world):
    """Each pod is denied everything in both directions, but for rules that name ports and peers."""
    policies = world.of("NetworkPolicy")
    for pod in world.pods:
        directions = set()
        for policy in policies:
            if match(policy["spec"]["podSelector"], pod.labels):
                directions |= set(policy["spec"].get("policyTypes") or [])
        for missing in sorted({"Ingress", "Egress"} - directions):
            yield f"{pod.name}: {missing} is not denied"
    for policy in policies:
        for direction in ("ingress", "egress"):
            for rule in policy["spec"].get(direction) or []:
                if not rule.get("ports"):
                    yield f"{name(policy)}: {direction} to all ports"
        for rule in policy["spec"].get("ingress") or []:
            if not rule.get("from"):
                yield f"{name(policy)}: ingress from everybody"
        for port in policy_ports(policy, "ingress"):
            selected = [pod for pod in world.pods if match(policy["spec"]["podSelector"], pod.labels)]
            if all(pod.resolves(port) is None for pod in selected):
                yield f"{name(policy)}: lets in to a port {port} that is not there"
        peers = [peer for rule in policy["spec"].get("ingress") or [] for peer in rule.get("from") or []]
        peers += [peer for rule in policy["spec"].get("egress") or [] for peer in rule.get("to") or []]
        for peer in peers:
            own = "podSelector" in peer and "namespaceSelector" not in peer
            if own and not any(match(peer["podSelector"], pod.labels) for pod in world.pods) and peer["podSelector"] not in USERS_OWN_PODS:
                yield f"{name(policy)}: names pods that are not there"


# The set `small` expects k8s/postgres beside it.
USERS_OWN_PODS = [{"matchLabels": {"app.kubernetes.io/name": "postgres"}}]


def policy_ports(policy, direction):
    return [port["port"] for rule in policy["spec"].get(direction) or [] for port in rule.get("ports") or []]


def egress_to_anywhere(world):
    for policy in world.of("NetworkPolicy"):
        for rule in policy["spec"].get("egress") or []:
            if not rule.get("to"):
                yield f"{name(policy)}: egress to anywhere at {', '.join(str(port['port']) for port in rule.get('ports') or [])}"


def mounts(world):
    """What is mounted is there, and whatever a setting calls a file is mounted."""
    for pod in world.pods:
        mounted = {mount["name"] for container in pod.containers() for mount in container.get("volumeMounts") or []}
        claims = {claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates") or []}
        volumes = {volume["name"] for volume in pod.spec.get("volumes") or []} | claims
        if mounted != volumes:
            yield f"{pod.name}: volumes {sorted(volumes)}, mounted {sorted(mounted)}"
        for volume in pod.spec.get("volumes") or []:
            yield from source(world, pod, volume)
        for container in pod.containers():
            where = f"{pod.name}, {container['name']}"
            for mount in container.get("volumeMounts") or []:
                volume = pod.volume(mount["name"]) or {}
                if volume.keys() & {"secret", "configMap"} and (mount.get("readOnly") is not True or "subPath" in mount):
                    yield f"{where}: {mount['name']} is not mounted read-only and whole"
            named = {path for section in world.settings(pod, container).values() if isinstance(section, dict) for path in paths(section)}
            for path in sorted(named):
                if not any(file in (path, path.rpartition("/")[0] + "/*") for file in mounted_files(pod, container)):
                    yield f"{where}: {path} is not mounted"


def paths(section):
    return [value for key, value in section.items() if key.endswith("_file")]


def mounted_files(pod, container):
    """The paths of files in a container's volumes; `*` where the volume says nothing of them."""
    for mount in container.get("volumeMounts") or []:
        volume = pod.volume(mount["name"]) or {}
        items = [item for kind in ("secret", "configMap") for item in (volume.get(kind) or {}).get("items", [])]
        yield from (f"{mount['mountPath']}/{item['path']}" for item in items)
        if not items:
            yield f"{mount['mountPath']}/*"


def source(world, pod, volume):
    if "configMap" in volume:
        wanted = volume["configMap"]["name"]
        config = world.named("ConfigMap", wanted)
        if config:
            for item in volume["configMap"].get("items", []):
                if item["key"] not in config["data"]:
                    yield f"{pod.name}: ConfigMap {wanted} has no {item['key']}"
        elif ("ConfigMap", wanted) not in USERS_OWN:
            yield f"{pod.name}: there is no ConfigMap {wanted}"
    if "secret" in volume:
        wanted, keys = volume["secret"]["secretName"], {item["key"] for item in volume["secret"].get("items", [])}
        if not keys:
            yield f"{pod.name}: all of Secret {wanted} is mounted, whatever it holds"
        made = world.named("Secret", wanted)
        if made and not keys <= made["data"].keys():
            yield f"{pod.name}: Secret {wanted} has not all of {sorted(keys)}"
        for external in world.of("ExternalSecret"):
            given = {entry["secretKey"] for entry in external["spec"]["data"]}
            if external["spec"]["target"]["name"] == wanted and not keys <= given:
                yield f"{pod.name}: {name(external)} has not all of {sorted(keys)}"


def least_secrets(world):
    """Who migrates holds the database's secret alone."""
    for pod in world.pods:
        for container in pod.containers():
            if "migrate" in container.get("args", []):
                for path in mounted_files(pod, container):
                    if "/secrets/" in path and not path.rpartition("/")[2].startswith("database_"):
                        yield f"{pod.name}, {container['name']}: it migrates, and holds {path}"


def hooks(world):
    """What a hook's pod needs exists when it runs: it is a hook of a lower weight, or the user's own."""
    for pod in world.pods:
        hook = annotations(pod.owner).get("helm.sh/hook")
        if not hook or hook == "test":
            continue
        wanted = [("ServiceAccount", pod.spec.get("serviceAccountName"))]
        wanted += [("ConfigMap", volume["configMap"]["name"]) for volume in pod.spec["volumes"] if "configMap" in volume]
        for kind, needed in wanted:
            item = world.named(kind, needed)
            if (kind, needed) in USERS_OWN:
                continue
            marks = annotations(item) if item else {}
            if marks.get("helm.sh/hook") != hook or int(marks.get("helm.sh/hook-weight", 0)) >= int(annotations(pod.owner).get("helm.sh/hook-weight", 0)):
                yield f"{pod.name}: {kind} {needed} is not there when it runs"
        used = {volume["secret"]["secretName"] for volume in pod.spec["volumes"] if "secret" in volume}
        if used & {item["spec"]["target"]["name"] for item in world.of("ExternalSecret")}:
            yield f"{pod.name}: its Secret is made after it"


def places(world):
    for item in world.objects:
        if item["kind"] in CLUSTER_WIDE:
            labels = item["metadata"].get("labels", {})
            for mode in ("enforce", "audit", "warn"):
                if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                    yield f"{name(item)}: Pod Security does not {mode} restricted"
        elif item["metadata"].get("namespace") != NAMESPACE:
            yield f"{name(item)}: in the namespace {item['metadata'].get('namespace')}"


def labels(world):
    for item in world.objects:
        if item["kind"] in CLUSTER_WIDE | {"Secret"}:
            continue
        given = {key.removeprefix("app.kubernetes.io/") for key in item["metadata"].get("labels", {})}
        if not LABELS <= given:
            yield f"{name(item)}: has no labels {sorted(LABELS - given)}"


RULES = [
    restricted, contained, own_account, high_user, resources, images, secrets_as_files, secret_values, environment, probes, listeners,
    grace, production, updates, spread, replicas, selectors, exposure, network, egress_to_anywhere, mounts, least_secrets, hooks, places,
    labels,
]  # fmt: skip


def findings(objects):
    """Rule and sentence of every fault."""
    world = World(objects)
    return [(rule.__name__, fault) for rule in RULES for fault in rule(world)]
