"""Runs what a manifest says as processes of this machine: the command, variables and files of its containers.

Paths of volumes become directories of the check's own, and the two ports become free ones; everything else is as the
kubelet would hand it over. Variables of the image are taken from the Dockerfile. Root runs it as the user of the
manifest, who reads files by their modes and by the group that they are given.
"""

import base64
import os
import pathlib
import re
import secrets
import shlex
import stat
import subprocess

from harness import ROOT, Failed, expect

# As the downward API would give them.
FIELDS = {
    "metadata.namespace": "belvedere",
    "metadata.name": "belvedere-0",
    "metadata.uid": "00000000-0000-4000-8000-000000000000",
    "spec.nodeName": "node",
    "status.podIP": "127.0.0.1",
    "status.hostIP": "127.0.0.1",
}


def image_variables():
    """ENV of the final stage of the Dockerfile."""
    return dict(word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line))


def entry_point():
    """Its ENTRYPOINT, and its CMD, which a manifest's args replace."""
    return [word for word in re.findall(r'"([^"]+)"', instructions("ENTRYPOINT")[-1])]


def instructions(wanted):
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    final = re.split(r"^FROM ", text, flags=re.MULTILINE)[-1]
    return re.findall(rf"^{wanted} (.*)$", final, flags=re.MULTILINE)


def made_secrets(**given):
    """Values for every key that a Secret of ours may have, made now."""
    key = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, text=True, check=True).stdout
    made = {
        "signing_key": key,
        "ops_token": secrets.token_urlsafe(32),
        "pepper": secrets.token_urlsafe(32),
        "database_password": secrets.token_urlsafe(24),
        "migrate_password": secrets.token_urlsafe(24),
        "database_url": "postgres://belvedere@127.0.0.1:1/belvedere",
        "redis_url": "redis://127.0.0.1:1/0",
    }
    return made | given


class Container:
    """A container of a pod, ready to be started below `directory`."""

    def __init__(self, world, pod, container, directory, values, ports=None, certificate=None):
        self.pod, self.container, self.directory = pod, container, pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.ports = ports or {}
        self.mounted = sorted((mount["mountPath"] for mount in container.get("volumeMounts") or []), key=len, reverse=True)
        for mount in container.get("volumeMounts") or []:
            volume = pod.volume(mount["name"])
            for path, text in files(world, volume, values, certificate).items():
                file = self.directory / mount["mountPath"].lstrip("/") / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.here(text))
                self.own(file, volume)
        words = [*entry_point(), *(container.get("args") or [])]
        expect(not container.get("command"), f"{pod.name} replaces the image's entry point")
        self.arguments = [self.here(word) for word in words[1:]]
        self.variables = {name: self.here(value) for name, value in self.environment().items()}

    def own(self, file, volume):
        """As the kubelet does: root's, of the pod's group, with the mode that the volume says."""
        kind = volume.get("secret") or volume.get("configMap")
        file.chmod(kind.get("defaultMode", 0o644))
        group = (self.pod.spec.get("securityContext") or {}).get("fsGroup")
        if os.geteuid() == 0 and group:
            os.chown(file, 0, group)

    def user(self, binary):
        """How the user of the pod is become, where this is root and the user can reach the binary."""
        context = self.pod.spec.get("securityContext") or {}
        places = [pathlib.Path(binary), self.directory]
        reachable = all(parent.stat().st_mode & stat.S_IXOTH for place in places for parent in [place, *place.parents])
        if os.geteuid() != 0 or not reachable or not context.get("runAsUser"):
            return {}
        return {"user": context["runAsUser"], "group": context["runAsGroup"], "extra_groups": [context["fsGroup"]]}

    def here(self, text):
        """The same text, with the paths and addresses that stand for the container's."""
        for path in self.mounted:
            text = text.replace(f"{path}/", f"{self.directory}{path}/")
        for port, free in self.ports.items():
            text = text.replace(f"0.0.0.0:{port}", f"127.0.0.1:{free}").replace(f"belvedere-ops:{port}", f"127.0.0.1:{free}")
        return text

    def environment(self):
        known = dict(image_variables())
        for variable in self.container.get("env") or []:
            field = (variable.get("valueFrom") or {}).get("fieldRef")
            value = FIELDS[field["fieldPath"]] if field else variable["value"]
            known[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), value)
        return known

    def command(self, binary, *arguments):
        return [str(binary), *(arguments or self.arguments)]

    def run(self, binary, *arguments, more=None, within=60):
        """Runs it to its end; the answer is what it said."""
        done = subprocess.run(
            self.command(binary, *arguments),
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], **self.variables, **(more or {})},
            capture_output=True,
            text=True,
            timeout=within,
            **self.user(binary),
        )
        if done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise Failed(f"{self.pod.name}, {self.container['name']}: exit code {done.returncode}: {said}")
        return done.stdout


def files(world, volume, values, certificate):
    """Path and text of each file of a volume."""
    if "secret" in volume:
        made = world.named("Secret", volume["secret"]["secretName"])
        given = values
        if made and made.get("data"):
            given = {key: base64.b64decode(text).decode() for key, text in made["data"].items()}
        return {item["path"]: given[item["key"]] for item in volume["secret"]["items"]}
    config = world.named("ConfigMap", volume["configMap"]["name"])
    if config:
        return {item["path"]: config["data"][item["key"]] for item in volume["configMap"]["items"]}
    # A ConfigMap of the user's own has certificates of authorities.
    return {"issuer.pem": certificate, "database.pem": certificate}
