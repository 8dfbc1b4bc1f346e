"""The manifests as objects: the chart rendered by Helm's own library, and kustomize's output.

Needs the pip packages helm-python-sdk and PyYAML; overlays need kubectl.
"""

import copy
import pathlib
import subprocess

import helm_python
import yaml

from harness import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
K8S = ROOT / "k8s"
CHART = K8S / "chart"
VALUES = K8S / "values"
RELEASE = NAMESPACE = "belvedere"


def value_sets():
    """Every documented set of values, by name; the chart's defaults are one of them."""
    sets = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(VALUES.glob("*.yaml"))}
    return {"default": {}, **sets}


def merged(values, more):
    """As `helm --values a --values b` does it."""
    result = copy.deepcopy(values)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def render(values, release=RELEASE, namespace=NAMESPACE, chart=CHART):
    """The objects that `helm install` would create, hooks and tests among them."""
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        texts = loaded.render(values, name=release, namespace=namespace)
    return [
        document
        for path, text in sorted(texts.items())
        if not path.endswith("NOTES.txt")
        for document in yaml.safe_load_all(text)
        if document
    ]


def notes(values):
    with helm_python.Chart.load(CHART) as loaded:
        texts = loaded.render(values, name=RELEASE, namespace=NAMESPACE)
    return next(text for path, text in texts.items() if path.endswith("NOTES.txt"))


def kustomize(directory):
    """What `kubectl apply -k` would apply."""
    done = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failed(f"kubectl kustomize {directory}: {done.stderr}")
    # What is deprecated is only warned of.
    if done.stderr:
        raise Failed(f"kubectl kustomize {directory} warns: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def annotations(document):
    return document["metadata"].get("annotations") or {}


def is_hook(document):
    return "helm.sh/hook" in annotations(document)


class Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper, text):
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _text)


def dump(document):
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=1000)
