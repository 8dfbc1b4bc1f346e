"""The scripts of a release and of the test cluster, in a repository made for it, with programs that only write down
how they are called.

What they would do to a registry, to GitHub or to a cluster cannot be tried here. What they ask for, in which order, and
when they refuse, can.
"""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time

import yaml
from harness import ROOT, expect

IMAGE = "ghcr.io/belvedere-rs/belvedere"
DIGEST = f"sha256:{'d' * 64}"
# What the scripts call, and what it answers. Each call is a line of `calls`.
PROGRAMS = {
    "cargo": 'echo "token=$CARGO_REGISTRY_TOKEN" >>"$CALLS"; exit "${CARGO_FAILS:-0}"',
    "cosign": "echo signed",
    "docker": f"case $* in *inspect*) echo '{{\"digest\": \"{DIGEST}\"}}';; *) echo made;; esac",
    "gh": 'case $* in "run list"*) echo "${CI_PASSED:-1}";; "release view"*) exit "${NO_DRAFT:-1}";; esac; for word; do test -f "$word" && cat "$word" >>"$CALLS.files"; done; true',
    "helm": f'test -z "$HELM_FAILS" || exit 1; case $* in package*) touch "$4/belvedere-$VERSION.tgz";; push*) echo "Digest: {DIGEST}" >&2;; esac',
    "kind": "",
    "kubectl": 'case $* in "logs --namespace stranger"*) echo TimeoutError;; "logs --namespace load"*) echo "$LOAD";; '
    '*psql*) echo "$USERS";; "get pods"*) echo pod-1;; *apply*=-) cat >>"$CALLS.files";; esac',
    "sleep": "",
    "skopeo": 'case $* in inspect*) printf %s "$3";; *) echo copied;; esac',
}
PARTS = ("Cargo.toml", "CHANGELOG.md", "README.md", "LICENSE-APACHE", "LICENSE-MIT", "config", "k8s")


class Rehearsal:
    """A repository whose one commit is ready to be released, and a stage for the programs."""

    def __init__(self, directory):
        self.root, self.bin, self.log = directory / "tree", directory / "bin", directory / "calls"
        # What they were given to read.
        self.files = directory / "calls.files"
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        for part in PARTS:
            (self.root / part).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, self.root / part)
        self.bin.mkdir()
        for name, body in PROGRAMS.items():
            (self.bin / name).write_text(f'#!/bin/bash\necho "{name} $*" >>"$CALLS"\n{body}\n')
            (self.bin / name).chmod(0o755)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()
        facts = self.run("image-facts").stdout
        self.version = next(line.removeprefix("version=") for line in facts.splitlines() if line.startswith("version="))
        changelog = self.root / "CHANGELOG.md"
        if f"## [{self.version}]" not in changelog.read_text():
            changelog.write_text(changelog.read_text().replace("## [Unreleased]", f"## [Unreleased]\n\n## [{self.version}] - 2030-01-01", 1))
        self.git("add", "--all")
        self.commit()
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")

    def git(self, *arguments):
        settings = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *settings, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self):
        self.git("commit", "--quiet", "--allow-empty", "--message=x")

    def run(self, script, *arguments, check=True, **variables):
        """The script's answer; what it called is in `calls` then."""
        self.log.write_text("")
        self.files.write_text("")
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "RUSTUP_HOME", "CARGO_HOME")}
        environment = kept | {"PATH": f"{self.bin}:{kept['PATH']}", "CALLS": str(self.log), "VERSION": getattr(self, "version", "")}
        command = [self.root / "scripts" / script, *map(str, arguments)]
        done = subprocess.run(command, cwd=self.root, env=environment | variables, capture_output=True, text=True)
        expect(not check or done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def refuses(self, why, script, *arguments, **variables):
        done = self.run(script, *arguments, check=False, **variables)
        expect(done.returncode != 0, f"{script} goes on although {why}")

    def calls(self):
        return self.log.read_text().splitlines()


def rehearse():
    with tempfile.TemporaryDirectory() as directory:
        stage = Rehearsal(pathlib.Path(directory))
        for act in (verified, packed, image, chart, crates, published, rolled):
            act(stage, pathlib.Path(directory) / act.__name__)


def verified(stage, _):
    tag = f"v{stage.version}"
    stage.run("release-verify", tag, GH_TOKEN="x")
    stage.refuses("the tag is another version", "release-verify", "v999.0.0", GH_TOKEN="x")
    stage.refuses("the tag is none", "release-verify", stage.version, GH_TOKEN="x")
    stage.refuses("CI has not passed", "release-verify", tag, GH_TOKEN="x", CI_PASSED="0")
    for path, there, instead in (
        ("CHANGELOG.md", f"## [{stage.version}]", "## [0.0.0]"),
        ("k8s/chart/Chart.yaml", f"\nversion: {stage.version}", "\nversion: 0.0.0"),
        ("k8s/chart/Chart.yaml", "appVersion: ", "appVersion: 0"),
        ("Cargo.toml", f'version = "{stage.version}"', 'version = "0.0.0"'),
    ):
        file = stage.root / path
        whole = file.read_text()
        expect(there in whole, f"{path} has no {there!r} to break")
        file.write_text(whole.replace(there, instead, 1))
        stage.refuses(f"{path} has {instead!r}", "release-verify", tag, GH_TOKEN="x")
        file.write_text(whole)
    stage.commit()
    stage.refuses("the commit is not on main", "release-verify", tag, GH_TOKEN="x")
    stage.git("reset", "--quiet", "--hard", "HEAD~1")


def packed(stage, directory):
    stage.run("release-program", directory / "first", "/bin/true")
    # Archives know seconds.
    time.sleep(1.1)
    stage.run("release-program", directory / "second", "/bin/true")
    first, second = (sorted((directory / place).iterdir()) for place in ("first", "second"))
    expect(first[0].name == second[0].name and first[0].read_bytes() == second[0].read_bytes(), "a program is packed in two ways")


def image(stage, directory):
    directory.mkdir()
    archives = [directory / "amd64.tar", directory / "arm64.tar"]
    stage.refuses("there are no archives", "image-publish", directory, IMAGE=IMAGE, TAGS=f"{IMAGE}:main")
    for archive in archives:
        archive.touch()
    stage.refuses("a tag is somebody else's", "image-publish", directory, IMAGE=IMAGE, TAGS="ghcr.io/other/image:main")
    done = stage.run("image-publish", directory, IMAGE=IMAGE, TAGS=f"{IMAGE}:main\n{IMAGE}:0.1.0")
    expect(done.stdout == f"digest={DIGEST}\n", f"image-publish prints {done.stdout!r}")
    # The stage's skopeo gives the archive's name for its manifest.
    platforms = [f"{IMAGE}@sha256:{hashlib.sha256(f'oci-archive:{archive}'.encode()).hexdigest()}" for archive in archives]
    calls = stage.calls()
    copies = [call for call in calls if call.startswith("skopeo copy")]
    expect([call.split()[-1] for call in copies] == [f"docker://{platform}" for platform in platforms], f"copied: {copies}")
    index = f"docker buildx imagetools create --tag={IMAGE}:main --tag={IMAGE}:0.1.0 {' '.join(platforms)}"
    expect(index in calls, f"image-publish did not call {index}: {calls}")
    expect(calls[-1] == f"cosign sign --yes --recursive {IMAGE}@{DIGEST}", f"signed: {calls[-1]}")


def chart(stage, directory):
    stage.run("release-chart", directory)
    calls = stage.calls()
    expect([call.split()[1] for call in calls] == ["lint", "package", "push", "sign"], f"release-chart called {calls}")
    expect(calls[-1].endswith(f"/charts/belvedere@{DIGEST}"), f"signed: {calls[-1]}")


def crates(stage, _):
    with registry() as (address, asked):
        job = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{address}/identity?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job"}
        stage.refuses("there is no registry", "release-crates", **job)
        stage.refuses("the job proves nothing", "release-crates", CRATE_REGISTRY=address)
        stage.run("release-crates", CRATE_REGISTRY=address, **job)
        expect(stage.calls() == ["cargo publish --workspace --locked", "token=short"], f"release-crates called {stage.calls()}")
        stage.refuses("cargo failed", "release-crates", CRATE_REGISTRY=address, CARGO_FAILS="1", **job)
    tokens = "/api/v1/trusted_publishing/tokens"
    audience = address.removeprefix("http://")
    one = [
        ("GET", f"/identity?x=1&audience={audience}", "Bearer job", ""),
        ("POST", tokens, None, {"jwt": "identity"}),
        ("DELETE", tokens, "Bearer short", ""),
    ]
    expect(asked == one * 2, f"the registry was asked: {asked}")


@contextlib.contextmanager
def registry():
    """GitHub's identities and the crate registry's tokens, and what was asked of both."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append((self.command, self.path, self.headers["Authorization"], json.loads(body) if body else ""))
            text = json.dumps({"value": "identity", "token": "short"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def published(stage, directory):
    directory.mkdir()
    (directory / "belvedere.tar.gz").write_text("a program")
    bundle = stage.root / "bundle.json"
    bundle.write_text("{}")
    tag = f"v{stage.version}"
    stage.refuses("the image is unknown", "release-publish", tag, directory, BUNDLE=str(bundle))
    (directory / "belvedere.intoto.jsonl").unlink(missing_ok=True)
    stage.run("release-publish", tag, directory, BUNDLE=str(bundle), DIGEST=DIGEST)
    _, create, edit = stage.calls()
    expect(create.startswith(f"gh release create {tag} --verify-tag --draft "), f"release-publish called {create}")
    for name in ("SHA256SUMS", "belvedere.intoto.jsonl", "belvedere.tar.gz"):
        expect(f"{directory}/{name}" in create.split(), f"the release has no {name}")
    expect(edit == f"gh release edit {tag} --draft=false", f"release-publish called {edit}")
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=directory, check=True)
    notes = stage.files.read_text()
    stage.run("release-publish", tag, directory, BUNDLE=str(bundle), DIGEST=DIGEST, NO_DRAFT="0")
    expect(stage.calls()[1].startswith(f"gh release upload {tag} --clobber "), f"with a draft there: {stage.calls()}")
    expect("### Added" in notes and DIGEST in notes, "the notes have no changelog or no digest")
    shutil.rmtree(directory)


def rolled(stage, _):
    good = {"LOAD": "p50 1 ms\nrequests=9000 registered=900 failures=0", "USERS": "900"}
    stage.run("kind-test", **good)
    calls = stage.calls()
    order = ["kind create", "kind load", "helm upgrade", "helm test", "kubectl rollout restart", "kubectl create --raw", "helm uninstall"]
    places = [next((place for place, call in enumerate(calls) if call.startswith(start)), -1) for start in order]
    expect(places == sorted(places) and places[0] >= 0, f"kind-test called {calls}")
    expect(calls[-1].startswith("kind delete"), f"kind-test leaves its cluster: {calls[-1]}")
    pods = yaml.safe_load_all(re.sub(r"^apiVersion", "---\napiVersion", stage.files.read_text(), flags=re.MULTILINE))
    pods = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["command"] for pod in pods if pod}
    expect(pods["load"][2:3] == ["/load/kind-load"] and "socket" in pods["stranger"][3], f"the pods run {pods}")
    stage.refuses("a request failed", "kind-test", **good | {"LOAD": "requests=9000 registered=900 failures=1"})
    stage.refuses("there was no load", "kind-test", **good | {"LOAD": "requests=90 registered=9 failures=0", "USERS": "9"})
    stage.refuses("a user is missing", "kind-test", **good | {"USERS": "899"})
    stage.refuses("the load said nothing", "kind-test", **good | {"LOAD": "Traceback"})
    stage.refuses("helm fails", "kind-test", **good | {"HELM_FAILS": "1"})
