"""Faults on purpose: what the judges of manifests must find.

`BAD_VALUES` are values that the chart must refuse, with a word of what it must say. `BREAKS` spoil sound objects; the
rule that must find the fault stands before each.
"""

import re

BAD_VALUES = [
    ("additional", {"nameOverride": "users"}),
    ("signing_key", {"settings": {"auth": {"signing_key": "s3cret"}}}),
    ("password", {"settings": {"database": {"password": "s3cret"}}}),
    ("'url'", {"settings": {"database": {"url": "postgres://belvedere:s3cret@db/belvedere"}}}),
    ("drain_delay", {"settings": {"server": {"drain_delay": "1s"}}}),
    ("migrate_on_start", {"settings": {"database": {"migrate_on_start": True}}}),
    ("scheme", {"settings": {"database": {"scheme": "sqlite"}}}),
    ("environment", {"settings": {"environment": "development"}}),
    ("level", {"settings": {"log": {"level": {"nested": "info"}}}}),
    ("APP_OPS__TOKEN", {"env": {"APP_OPS__TOKEN": "s3cret"}}),
    ("DATABASE_URL", {"env": {"DATABASE_URL": "postgres://belvedere:s3cret@db/belvedere"}}),
    ("HEADERS", {"env": {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret"}}),
    ("tag", {"image": {"tag": "latest"}}),
    ("digest", {"image": {"digest": "sha256:abc"}}),
    ("replicas", {"replicas": "3"}),
    ("minReplicas", {"autoscaling": {"minReplicas": 8}}),
    ("memory", {"resources": {"limits": {"memory": "256M"}, "requests": {"memory": "256M"}}}),
    ("memory limit", {"resources": {"limits": {"memory": "512Mi"}}}),
    ("hashing", {"settings": {"password": {"max_concurrent": 16}}}),
    ("marginSeconds", {"shutdown": {"marginSeconds": 0}}),
    ("trusted_proxies", {"ingress": {"enabled": True, "host": "users.example.com"}}),
    ("trusted_proxies", {"route": {"enabled": True}}),
    ("migrations.mode", {"externalSecret": {"enabled": True, "store": {"name": "vault"}}}),
    ("mode", {"migrations": {"mode": "always"}}),
    ("signingKey", {"secrets": {"keys": {"signingKey": ""}}}),
    ("databasePassword", {"secrets": {"keys": {"databasePassword": ""}}}),
    ("existingSecret", {"secrets": {"existingSecret": ""}}),
    ("runAsUser", {"podSecurityContext": {"runAsUser": 0}}),
    ("networkPolicy/http/from", {"networkPolicy": {"http": {"from": [{}]}}}),
    ("ingress.host", {"ingress": {"enabled": True}, "settings": {"server": {"trusted_proxies": ["10.0.0.0/8"]}}}),
]


def find(objects, kind, name="belvedere"):
    return next(item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name))


def deployment(objects):
    return find(objects, "Deployment")["spec"]


def pod(objects):
    return deployment(objects)["template"]["spec"]


def container(objects):
    return pod(objects)["containers"][0]


def context(objects):
    return container(objects)["securityContext"]


def policy(objects):
    return find(objects, "NetworkPolicy")["spec"]


def job(objects):
    return find(objects, "Job", "belvedere-migrate")["spec"]["template"]["spec"]


def without_root_guard(objects):
    del context(objects)["runAsNonRoot"], pod(objects)["securityContext"]["runAsNonRoot"]


def without_seccomp(objects):
    del context(objects)["seccompProfile"], pod(objects)["securityContext"]["seccompProfile"]


def remove(objects, kind, name="belvedere"):
    objects.remove(find(objects, kind, name))


def settings(objects, pattern, replacement):
    data = find(objects, "ConfigMap")["data"]
    text, count = re.subn(pattern, replacement, data["belvedere.toml"], flags=re.MULTILINE)
    if count == 0:
        raise ValueError(f"{pattern} is not in the settings: nothing was broken")
    data["belvedere.toml"] = text


# Of a release with the values of k8s/values/production.yaml.
BREAKS = [
    ("restricted", without_root_guard),
    ("restricted", without_seccomp),
    ("restricted", lambda o: context(o).update(allowPrivilegeEscalation=True)),
    ("restricted", lambda o: context(o).pop("capabilities")),
    ("restricted", lambda o: context(o)["capabilities"].update(add=["NET_ADMIN"])),
    ("restricted", lambda o: context(o).update(privileged=True)),
    ("restricted", lambda o: context(o).update(procMount="Unmasked")),
    ("restricted", lambda o: context(o).update(seLinuxOptions={"type": "spc_t"})),
    ("restricted", lambda o: context(o).update(runAsUser=0)),
    ("restricted", lambda o: pod(o).update(hostNetwork=True)),
    ("restricted", lambda o: pod(o)["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    ("restricted", lambda o: pod(o)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
    ("restricted", lambda o: container(o)["ports"][0].update(hostPort=8080)),
    ("restricted", lambda o: container(o)["livenessProbe"]["httpGet"].update(host="example.com")),
    ("restricted", lambda o: job(o)["containers"][0]["securityContext"].pop("allowPrivilegeEscalation")),
    ("contained", lambda o: context(o).update(readOnlyRootFilesystem=False)),
    ("contained", lambda o: pod(o).pop("automountServiceAccountToken")),
    ("contained", lambda o: find(o, "ServiceAccount").pop("automountServiceAccountToken")),
    ("contained", lambda o: pod(o).pop("enableServiceLinks")),
    ("contained", lambda o: pod(o)["volumes"][1]["secret"].update(defaultMode=0o444)),
    ("contained", lambda o: pod(o)["securityContext"].pop("fsGroup")),
    ("contained", lambda o: pod(o)["volumes"].append({"name": "tmp", "emptyDir": {}})),
    ("own_account", lambda o: pod(o).pop("serviceAccountName")),
    ("high_user", lambda o: pod(o)["securityContext"].update(runAsUser=1000)),
    ("resources", lambda o: container(o)["resources"]["requests"].pop("cpu")),
    ("resources", lambda o: container(o)["resources"]["limits"].pop("memory")),
    ("resources", lambda o: container(o)["resources"]["limits"].update(memory="1Gi")),
    ("resources", lambda o: settings(o, "^max_concurrent = .*", "max_concurrent = 8")),
    ("images", lambda o: container(o).update(image="ghcr.io/belvedere-rs/belvedere:latest")),
    ("images", lambda o: container(o).update(image="ghcr.io/belvedere-rs/belvedere:9.9.9")),
    ("secrets_as_files", lambda o: container(o)["env"].append({"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}})),
    ("secrets_as_files", lambda o: container(o)["env"].append({"name": "APP_OPS__TOKEN", "value": "s3cret"})),
    ("secret_values", lambda o: o.append({"kind": "Secret", "metadata": {"name": "a", "namespace": "belvedere"}, "data": {}})),
    ("environment", lambda o: container(o)["env"].reverse()),
    ("probes", lambda o: container(o).pop("startupProbe")),
    ("probes", lambda o: container(o)["startupProbe"].update(failureThreshold=10)),
    ("probes", lambda o: container(o)["livenessProbe"]["httpGet"].update(path="/readyz")),
    ("probes", lambda o: container(o)["readinessProbe"]["httpGet"].update(port="metrics")),
    ("listeners", lambda o: settings(o, '^addr = "0.0.0.0:9090"', 'addr = "0.0.0.0:8080"')),
    ("grace", lambda o: pod(o).update(terminationGracePeriodSeconds=30)),
    ("grace", lambda o: settings(o, "^drain_timeout = .*", 'drain_timeout = "60s"')),
    ("grace", lambda o: settings(o, "^drain_delay = .*", 'drain_delay = "0s"')),
    ("production", lambda o: settings(o, '^environment = "production"', 'environment = "development"')),
    ("production", lambda o: settings(o, "^migrate_on_start = false", "migrate_on_start = true")),
    ("production", lambda o: container(o)["volumeMounts"].pop(0)),
    ("updates", lambda o: deployment(o)["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
    ("spread", lambda o: pod(o)["topologySpreadConstraints"].pop()),
    ("spread", lambda o: pod(o)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(a="b")),
    ("replicas", lambda o: deployment(o).update(replicas=3)),
    ("replicas", lambda o: remove(o, "PodDisruptionBudget")),
    ("replicas", lambda o: find(o, "PodDisruptionBudget")["spec"].pop("unhealthyPodEvictionPolicy")),
    ("replicas", lambda o: find(o, "HorizontalPodAutoscaler")["spec"].update(minReplicas=1)),
    ("replicas", lambda o: find(o, "HorizontalPodAutoscaler")["spec"].update(maxReplicas=20)),
    ("replicas", lambda o: find(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="users")),
    ("selectors", lambda o: find(o, "Service")["spec"]["selector"].update(a="b")),
    ("selectors", lambda o: find(o, "Service")["spec"]["ports"][0].update(targetPort="web")),
    ("selectors", lambda o: find(o, "Service")["spec"]["selector"].pop("app.kubernetes.io/component")),
    ("selectors", lambda o: deployment(o)["selector"]["matchLabels"].update(a="b")),
    ("selectors", lambda o: find(o, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(a="b")),
    ("selectors", lambda o: find(o, "ServiceMonitor")["spec"]["endpoints"][0].update(port="http")),
    ("selectors", lambda o: find(o, "ServiceMonitor")["spec"].update(jobLabel="app.kubernetes.io/component")),
    ("exposure", lambda o: ingress_service(o).update(name="belvedere-ops", port={"name": "ops"})),
    ("exposure", lambda o: ingress_service(o).update(port={"number": 9090})),
    ("exposure", lambda o: find(o, "Service", "belvedere-ops")["spec"].update(type="NodePort")),
    ("exposure", lambda o: find(o, "Service")["spec"]["ports"].append({"name": "ops", "port": 9090, "targetPort": "ops"})),
    ("exposure", lambda o: find(o, "Ingress")["spec"].pop("tls")),
    ("exposure", lambda o: settings(o, "^trusted_proxies = .*", "trusted_proxies = []")),
    ("network", lambda o: remove(o, "NetworkPolicy")),
    ("network", lambda o: policy(o).update(policyTypes=["Ingress"])),
    ("network", lambda o: policy(o)["ingress"].append({})),
    ("network", lambda o: policy(o)["ingress"][0].pop("from")),
    ("network", lambda o: policy(o)["ingress"][0]["ports"][0].update(port="web")),
    ("network", lambda o: policy(o)["egress"][0].pop("ports")),
    ("network", lambda o: remove(o, "NetworkPolicy", "belvedere-migrate")),
    ("egress_to_anywhere", lambda o: policy(o)["egress"][1].pop("to")),
    ("mounts", lambda o: settings(o, "^token_file = .*", 'token_file = "/run/secrets/belvedere/token"')),
    ("mounts", lambda o: pod(o)["volumes"][1]["secret"]["items"].pop()),
    ("mounts", lambda o: pod(o)["volumes"][1]["secret"].pop("items")),
    ("mounts", lambda o: container(o)["volumeMounts"].pop()),
    ("mounts", lambda o: container(o)["volumeMounts"][1].update(subPath="signing_key")),
    ("mounts", lambda o: remove(o, "ConfigMap")),
    ("least_secrets", lambda o: secret_of_job(o)["items"].append({"key": "signing_key", "path": "signing_key"})),
    ("hooks", lambda o: remove(o, "ConfigMap", "belvedere-migrate")),
    ("hooks", lambda o: find(o, "ServiceAccount", "belvedere-migrate")["metadata"].pop("annotations")),
    ("hooks", lambda o: job(o).update(serviceAccountName="belvedere")),
    ("places", lambda o: find(o, "Deployment")["metadata"].update(namespace="default")),
    ("places", lambda o: o.append({"kind": "Namespace", "metadata": {"name": "belvedere"}})),
    ("labels", lambda o: find(o, "Deployment")["metadata"]["labels"].pop("app.kubernetes.io/part-of")),
]


def ingress_service(objects):
    return find(objects, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]


def secret_of_job(objects):
    return next(volume["secret"] for volume in job(objects)["volumes"] if "secret" in volume)


# What the schemas must find, strictly: an unknown field, a wrong type, in Kubernetes' own kinds and in custom ones.
BAD_SHAPES = [
    lambda o: container(o).update(livenesProbe={}),
    lambda o: deployment(o).update(revisionHistoryLimit="5"),
    lambda o: find(o, "HorizontalPodAutoscaler").update(apiVersion="autoscaling/v2beta2"),
    lambda o: find(o, "ServiceMonitor")["spec"].update(jobLable="a"),
    lambda o: find(o, "PrometheusRule")["spec"]["groups"][0].update(rules=[{"record": "a"}]),
]


def spoil_for_checkov(objects):
    """What checkov alone would have to find, if the rules here were lost."""
    without_root_guard(objects)
    pod(objects)["securityContext"].update(runAsUser=0)
    context(objects).update(privileged=True, readOnlyRootFilesystem=False)
    container(objects).pop("resources")


# Which of checkov's checks that is: privileged, root, writable root, memory limit.
FOUND_BY_CHECKOV = {"CKV_K8S_16", "CKV_K8S_23", "CKV_K8S_22", "CKV_K8S_13"}
