"""What a pipeline is made of, and rules of ours for it that no public checker has.

Each function takes the root of a tree and yields faults as sentences. scripts/check-workflows calls them on this
repository, and on copies that are broken on purpose.
"""

import pathlib
import re
import shlex
import subprocess

import yaml

USES = re.compile(r"^\s*(?:- )?uses:\s*(\S+)(?:\s+#\s*(\S+))?\s*$", re.MULTILINE)
PINNED = re.compile(r"^([\w.-]+/[\w./-]+)@([0-9a-f]{40})$")
VERSION = re.compile(r"^v\d+(\.\d+)*$")
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
# Copies have no sources, but the same names.
HERE = pathlib.Path(__file__).resolve().parents[2]
# Where each pipeline finds `just`.
JUST = ("just", "target/ci/venv/bin/just")
# The lines of shell in which a pipeline's own language has to begin.
PREAMBLE = ("#!/bin/bash", "set -euo pipefail")
# What recipes run beside scripts of ours.
PROGRAMS = {"cargo", "docker", "just", "shellcheck"}
ASSIGNMENT = re.compile(r"^[A-Z_]+=")
# A command of a step of .ci/run, as it stands in a function.
COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:cargo|scripts/\S+|shellcheck)( |$)")
# Publish what others will run; what a cache holds has been made by whoever could write to it.
PUBLISHING = ("image.yml", "release.yml")
CACHES = ("Swatinem/rust-cache", "actions/cache")


def workflows(root):
    return {path.name: path for path in sorted((root / ".github" / "workflows").glob("*.yml"))}


def pins(root):
    """Every action is pinned to a commit, has its version beside it, and is the same one everywhere."""
    seen = {}
    for name, path in workflows(root).items():
        for reference, version in USES.findall(path.read_text()):
            if reference.startswith("$/"):
                if not (root / reference[2:]).is_file():
                    yield f"{name}: there is no {reference}"
                continue
            pinned = PINNED.match(reference)
            if not pinned or not VERSION.match(version):
                yield f"{name}: {reference} is not a commit with its version behind it"
                continue
            first = seen.setdefault(pinned[1], (pinned[2], version, name))
            if first[:2] != (pinned[2], version):
                yield f"{name}: {pinned[1]} is another one than in {first[2]}"


def shape(root):
    """What each workflow and each job has to say."""
    for name, path in workflows(root).items():
        workflow = yaml.safe_load(path.read_text())
        jobs = workflow["jobs"]
        if workflow.get("permissions") != {}:
            yield f"{name}: it does not begin with no permissions"
        if "concurrency" not in workflow:
            yield f"{name}: it may run beside itself"
        for title, job in jobs.items():
            where = f"{name}: {title}"
            if not isinstance(job.get("permissions"), dict):
                yield f"{where}: its permissions are not listed"
            if "uses" not in job and "timeout-minutes" not in job:
                yield f"{where}: it has no end"
            for service in job.get("services", {}).values():
                if not DIGEST.search(service["image"]):
                    yield f"{where}: {service['image']} is not pinned to a digest"
            for step in job.get("steps", []):
                uses, inputs = step.get("uses", ""), step.get("with", {})
                if uses.startswith("actions/checkout@") and inputs.get("persist-credentials") is not False:
                    yield f"{where}: the checkout leaves its credentials behind"
                if name in PUBLISHING and uses.startswith(CACHES):
                    yield f"{where}: what is published may not come from a cache"
        if "passed" in jobs and (missing := set(jobs) - {"passed"} - set(jobs["passed"]["needs"])):
            yield f"{name}: nobody waits for {', '.join(sorted(missing))}"


def calls(root):
    """Who calls a workflow of ours lets it do what it needs, and asks for outputs that it has."""
    for name, path in workflows(root).items():
        text = path.read_text()
        for title, job in yaml.safe_load(text)["jobs"].items():
            if not job.get("uses", "").startswith("$/"):
                continue
            called = yaml.safe_load((root / job["uses"][2:]).read_text())
            # YAML takes the key `on` for a truth value.
            outputs = (called[True]["workflow_call"] or {}).get("outputs", {})
            for output in re.findall(rf"needs\.{title}\.outputs\.(\w+)", text):
                if output not in outputs:
                    yield f"{name}: {title} has no output {output}"
            for inner in called["jobs"].values():
                for scope, access in inner["permissions"].items():
                    if access == "write" and job["permissions"].get(scope) != "write":
                        yield f"{name}: {title} may not do what it is called for: {scope}: {access}"


def paths(root):
    """What a workflow waits for is a path of this repository."""
    for name, path in workflows(root).items():
        for trigger in yaml.safe_load(path.read_text())[True].values():
            for pattern in (trigger or {}).get("paths", []) if isinstance(trigger, dict) else []:
                if not any(HERE.glob(pattern)):
                    yield f"{name}: nothing is called {pattern}"


def commands(root):
    """Every line that a workflow runs is a script or a recipe."""
    for name, path in workflows(root).items():
        for title, job in yaml.safe_load(path.read_text())["jobs"].items():
            for step in job.get("steps", []):
                for line in step.get("run", "").splitlines():
                    yield from (f"{name}: {title}: {fault}" for fault in command(root, line))


def command(root, line):
    """What is wrong with a line that a pipeline runs."""
    words = shlex.split(line.split(">")[0])
    if words[0] in JUST:
        done = just(root, "--dry-run", *words[1:])
        if done.returncode != 0:
            yield f"`{line}`: {done.stderr.strip().splitlines()[0]}"
    elif not words[0].startswith("scripts/"):
        yield f"`{line}` is neither a script nor a recipe"
    elif not runnable(root, words[0]):
        yield f"`{line}`: there is no such script"
    elif words[0] == "scripts/ci-tools" and (unknown := set(words[1:]) - groups(root)):
        yield f"`{line}`: scripts/ci-tools has no group {', '.join(sorted(unknown))}"


def groups(root):
    """The groups of tools that scripts/ci-tools can install: those that its usage lists."""
    usage = re.findall(r"^#   (\w+) {2,}\S", (root / "scripts" / "ci-tools").read_text(), re.MULTILINE)
    return set(usage)


def runnable(root, script):
    path = root / script
    return path.is_file() and path.stat().st_mode & 0o111


def just(root, *arguments):
    arguments = ["just", "--justfile", root / "justfile", "--working-directory", root, *arguments]
    return subprocess.run(arguments, capture_output=True, text=True)


def recipes(root):
    """The commands of each recipe, with its defaults for what it may be given, and a word for what it must be given."""
    dump = yaml.safe_load(just(root, "--dump", "--dump-format", "json").stdout or "{}")
    for name, recipe in dump.get("recipes", {}).items():
        given = ["given" for parameter in recipe["parameters"] if parameter["default"] is None and parameter["kind"] == "singular"]
        yield name, recipe, [line.strip() for line in just(root, "--dry-run", name, *given).stderr.splitlines()]


def justfile(root):
    """Every recipe is documented and real; every check and every step of .ci/run is a recipe."""
    if (formatted := just(root, "--fmt", "--check")).returncode != 0:
        yield f"justfile: not formatted\n{formatted.stdout}{formatted.stderr}"
    if (listed := just(root, "--list")).returncode != 0:
        yield f"justfile: {listed.stderr}"
        return
    lines = set()
    for name, recipe, body in recipes(root):
        if not recipe["doc"]:
            yield f"justfile: {name} does not say what it does"
        for line in body:
            lines.add(line)
            yield from (f"justfile: {name}: {fault}" for fault in unreal(root, line))
    for check in sorted((root / "scripts").glob("check-*")):
        if not any(f"scripts/{check.name}" in line.split() for line in lines):
            yield f"justfile: no recipe for scripts/{check.name}"
    for step in steps((root / ".ci" / "run").read_text()):
        if not any(line == step or re.fullmatch(rf'(?:[A-Z_]+="[^"]*" )+{re.escape(step)}', line) for line in lines):
            yield f"justfile: no recipe for `{step}`, a step of .ci/run"


def unreal(root, line):
    """What a line of a recipe names and nobody has."""
    words = [word for word in shlex.split(line) if not ASSIGNMENT.match(word)]
    if "/" in words[0]:
        if not runnable(root, words[0]):
            yield f"there is no script {words[0]}"
    elif words[0] not in PROGRAMS:
        yield f"{words[0]} is no program that is known here"
    for word in words[1:]:
        if word.startswith("scripts/") and not runnable(root, word):
            yield f"there is no script {word}"


def steps(script):
    """The commands of the steps of .ci/run, those of the functions that steps call among them."""
    functions = dict(re.findall(r"^(\w+)\(\) \{\n(.*?)^\}$", script, re.MULTILINE | re.DOTALL))
    for called in re.findall(r'^step "[^"]*" (.+)$', script, re.MULTILINE):
        if called == "install_tools":
            continue
        body = functions.get(called)
        if body is None:
            yield called
            continue
        yield from (line.strip() for line in body.splitlines() if COMMAND.match(line.strip()))


def dependabot(root):
    """Whatever has versions in it is looked after, and what is looked after is there."""
    watched = {}
    for update in yaml.safe_load((root / ".github" / "dependabot.yml").read_text())["updates"]:
        for directory in update.get("directories", [update.get("directory")]):
            watched.setdefault(update["package-ecosystem"], set()).add(directory)
            if not (root / directory.lstrip("/")).is_dir():
                yield f"dependabot.yml: there is no {directory}"
    there = {
        "cargo": {"/"},
        "github-actions": {"/"},
        "docker": {place(root, path) for path in root.glob("Dockerfile")},
        "docker-compose": {place(root, path) for path in root.glob("compose.yaml")},
        "npm": {place(root, path) for path in root.glob("scripts/*/package.json")},
        "pip": {place(root, path) for path in root.glob("scripts/*/*requirements*.txt")},
    }
    for ecosystem, directories in there.items():
        for directory in sorted(directories - watched.get(ecosystem, set())):
            yield f"dependabot.yml: nobody looks after {ecosystem} in {directory}"


def place(root, path):
    return f"/{path.parent.relative_to(root)}".replace("/.", "/")


def hooks(root):
    """Hooks are ours, and what they run is installed by scripts/ci-tools or is a script."""
    known = PROGRAMS | {"actionlint", "hadolint", "promtool", "zizmor"}
    for repository in yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]:
        if repository["repo"] != "local":
            yield f".pre-commit-config.yaml: {repository['repo']} would be downloaded"
            continue
        for hook in repository["hooks"]:
            program = hook["entry"].split()[0]
            if hook["language"] != "system" or not (runnable(root, program) if "/" in program else program in known):
                yield f".pre-commit-config.yaml: {hook['id']} runs what is not known here"


def mentions(root):
    """Every `just ...` in the documents is a recipe."""
    for document in [*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))]:
        for mentioned in re.findall(r"`(just [a-z][^`]*)`", document.read_text()):
            yield from (f"{document.name}: {fault}" for fault in command(root, mentioned))


def pipelines(root):
    """docs/pipelines.md names every workflow, and its examples run the same, in the image that the Dockerfile builds in."""
    text = (root / "docs" / "pipelines.md").read_text()
    for name in workflows(root):
        if f"`{name}`" not in text:
            yield f"pipelines.md: nothing about {name}"
    ran = {}
    for system, parse in EXAMPLES.items():
        try:
            examples = list(yaml.safe_load_all(example(text, system)))
            lines, images = [], set()
            for kind, value in parse(examples):
                {"line": lines.append, "image": images.add}[kind](value)
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            yield f"pipelines.md: {system}: {type(error).__name__}: {error}"
            continue
        for line in lines:
            yield from (f"pipelines.md: {system}: {fault}" for fault in command(root, line))
        if images != {base(root)}:
            yield f"pipelines.md: {system}: the images are {', '.join(sorted(images))}; the Dockerfile builds in {base(root)}"
        ran[system] = sorted(word for line in lines if line.split()[0] in JUST for word in line.split()[1:])
    first = next(iter(ran), None)
    for system, words in ran.items():
        if words != ran[first]:
            yield f"pipelines.md: {system} runs other recipes than {first}"


def example(text, system):
    """The only block of a pipeline's section."""
    section = re.search(rf"^### {system}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```yaml\n(.*?)^```$", section[1] if section else "", re.MULTILINE | re.DOTALL)
    if len(blocks) != 1:
        raise ValueError(f"{len(blocks)} blocks")
    return blocks[0]


def base(root):
    """Name, tag and digest of the image that the Dockerfile compiles in."""
    found = re.search(r"^FROM (?:docker\.io/library/)?(rust:\S+) AS build$", (root / "Dockerfile").read_text(), re.MULTILINE)
    if not found:
        raise ValueError("the Dockerfile has no stage `build` on rust")
    return found[1]


def gitlab(documents):
    (pipeline,) = documents
    yield "image", pipeline["default"]["image"]
    for job in pipeline.values():
        for line in job.get("script", []):
            yield "line", line


def circleci(documents):
    (pipeline,) = documents
    for executor in pipeline["executors"].values():
        for container in executor["docker"]:
            yield "image", container["image"]
    called = {name for workflow in pipeline["workflows"].values() for name in workflow["jobs"]}
    if called != set(pipeline["jobs"]):
        raise ValueError("a job is in no workflow, or the other way round")
    for job in pipeline["jobs"].values():
        if job["executor"] not in pipeline["executors"]:
            raise ValueError(f"no executor {job['executor']}")
        for step in job["steps"]:
            if step != "checkout":
                yield "line", step["run"]


def tekton(documents):
    tasks = {document["metadata"]["name"]: document["spec"] for document in documents if document["kind"] == "Task"}
    if {document["apiVersion"] for document in documents} != {"tekton.dev/v1"}:
        raise ValueError("apiVersion is not tekton.dev/v1")
    for task in tasks.values():
        for step in task["steps"]:
            yield "image", step["image"]
    for pipeline in (document["spec"] for document in documents if document["kind"] == "Pipeline"):
        before = set()
        spaces = {space["name"] for space in pipeline["workspaces"]}
        for call in pipeline["tasks"]:
            task = tasks[call["taskRef"]["name"]]
            given = {parameter["name"]: parameter["value"] for parameter in call["params"]}
            if set(given) != {parameter["name"] for parameter in task["params"]}:
                raise ValueError(f"{call['name']}: other parameters than the Task's")
            if {space["name"] for space in call["workspaces"]} != {space["name"] for space in task["workspaces"]} or not {
                space.get("workspace", space["name"]) for space in call["workspaces"]
            } <= spaces:
                raise ValueError(f"{call['name']}: other workspaces")
            # They share a target directory, so each waits for the one before it.
            if before and not set(call.get("runAfter", [])) & before:
                raise ValueError(f"{call['name']} runs after nothing")
            before = {call["name"]}
            for step in task["steps"]:
                script = re.sub(r"\$\(params\.(\w+)\)", lambda name: given[name[1]], step["script"])
                yield from (("line", line) for line in script.splitlines() if line not in PREAMBLE)


def concourse(documents):
    (pipeline,) = documents
    resources = {resource["name"] for resource in pipeline["resources"]}
    for job in pipeline["jobs"]:
        got = set()
        for step in job["plan"]:
            if "get" in step:
                if step["get"] not in resources:
                    raise ValueError(f"{job['name']}: no resource {step['get']}")
                got.add(step["get"])
                continue
            task = step["config"]
            image = task["image_resource"]
            yield "image", f"{image['source']['repository']}:{image['source']['tag']}@{image['version']['digest']}"
            if task["platform"] != "linux" or {entry["name"] for entry in task["inputs"]} != got or task["run"]["dir"] not in got:
                raise ValueError(f"{job['name']}: its task has other inputs than the plan gets")
            options, script = task["run"]["args"]
            if task["run"]["path"] != "bash" or options != "-euc":
                raise ValueError(f"{job['name']}: a failure in the middle would not end it")
            yield from (("line", line) for line in script.splitlines())


EXAMPLES = {"GitLab": gitlab, "CircleCI": circleci, "Tekton": tekton, "Concourse": concourse}
RULES = (pins, shape, calls, paths, commands, justfile, dependabot, hooks, mentions, pipelines)
