"""Builds the image with buildah where no registry can be reached.

What the Dockerfile starts from is made here: the base that compiles is a small Debian of the same suite with
the Rust toolchain of this machine, the other one has the files that distroless/static has. They take the
places of the images that the Dockerfile names; the Dockerfile itself is used as it stands.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import ROOT, Failed, expect, need

DOCKERFILE = ROOT / "Dockerfile"
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
# gcc and libc6-dev are what the slim image of Rust has.
COMPILES_WITH = ("gcc", "libc6-dev", "ca-certificates")
# The packages whose files distroless/static has.
STATIC_HAS = ("base-files", "netbase", "tzdata", "media-types")
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A release build on two busy cores, several times over.
BUILT_WITHIN = 3000.0

# Files of distroless/static that no package has. With "compat" a name service is named that a static program
# cannot load, as there.
ACCOUNTS = """\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
"""
GROUPS = "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n"
NAME_SERVICES = "passwd: compat\ngroup: compat\nhosts: files dns\nnetworks: files\n"


class Bases:
    """The images that the Dockerfile names, and what is known of them from their names."""

    def __init__(self):
        text = DOCKERFILE.read_text()
        named = re.findall(r"^FROM +(?:--\S+ +)*(\S+)", text, re.MULTILINE)
        frontend = re.match(r"# syntax=(\S+)\n", text)
        expect(frontend is not None, "the Dockerfile does not begin with the syntax that it is written in")
        for name in (frontend[1], *named):
            expect(re.search(r":[^@]+@sha256:[0-9a-f]{64}$", name), f"the Dockerfile names {name} without a digest")
        expect(len(named) == 2, f"the Dockerfile starts from {named}, and these checks know two bases")
        self.compiling, self.final = named
        rust = re.search(r"/rust:(\d+\.\d+\.\d+)-slim-(\w+)@", self.compiling)
        expect(rust, f"{self.compiling} does not name a version of Rust and a suite of Debian")
        self.rust, self.suite = rust.groups()


class Builder:
    """buildah with a storage of its own; all files are copies, because no mount is needed for that."""

    def __init__(self, directory):
        self.directory = directory
        self.storage = [f"--root={directory / 'storage'}", f"--runroot={directory / 'running'}", "--storage-driver=vfs"]
        self.buildah = need("buildah", "buildah")

    def run(self, *arguments, within=600.0, **more):
        command = [self.buildah, *self.storage, *(str(argument) for argument in arguments)]
        return tell(command, self.directory / "buildah.log", within, **more)

    def make_bases(self, bases):
        debian = self.directory / "debian"
        packages = ",".join((*COMPILES_WITH, *STATIC_HAS))
        command = [need("debootstrap", "debootstrap"), "--variant=minbase", f"--include={packages}"]
        tell([*command, bases.suite, str(debian)], self.directory / "debootstrap.log", 900.0)
        # Nobody reads it, and it would be copied a few times.
        for path in ("var/cache/apt", "var/lib/apt", "usr/share/doc", "usr/share/locale", "usr/share/man"):
            shutil.rmtree(debian / path, ignore_errors=True)
        cargo = {"CARGO_HOME": "/usr/local/cargo", "RUSTUP_HOME": "/usr/local/rustup"}
        self._commit(debian, "localhost/compiling", PATH=f"/usr/local/cargo/bin:{PATHS}", **cargo)
        static = self.directory / "static"
        as_static(debian, static)
        variables = {"PATH": PATHS, "SSL_CERT_FILE": str(CERTIFICATES)}
        self._commit(static, "localhost/static", "--user=65532", "--workingdir=/home/nonroot", **variables)
        shutil.rmtree(debian)
        shutil.rmtree(static)

    def _commit(self, tree, name, *configuration, **variables):
        container = self.run("from", "scratch").strip()
        # `buildah add` would make root the owner of everything.
        tell(["cp", "--archive", f"{tree}/.", self.run("mount", container).strip()], within=300.0)
        variables = [f"--env={name}={value}" for name, value in variables.items()]
        self.run("config", *configuration, *variables, container)
        self.run("commit", "--quiet", "--format=docker", "--rm", container, name)

    def build(self, name, bases, arguments):
        toolchain = toolchain_of(bases.rust)
        contexts = {bases.compiling: "localhost/compiling", bases.final: "localhost/static"}
        mounts = {toolchain / part: f"/usr/local/cargo/{part}" for part in ("bin", "lib")}
        # How this machine reaches the crate registry, the machine that ends its TLS included.
        mounts[CERTIFICATES] = CERTIFICATES
        configuration = cargo_home() / "config.toml"
        if configuration.exists():
            mounts[configuration] = "/usr/local/cargo/config.toml"
        self.run(
            "build",
            "--isolation=chroot",
            # The other format has no place for a HEALTHCHECK; what Docker builds has one all the same.
            "--format=docker",
            *(f"--build-context={name}=container-image://{stands_for}" for name, stands_for in contexts.items()),
            *(f"--volume={path}:{there}:ro" for path, there in mounts.items() if path.exists()),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            f"--tag={name}",
            f"--file={DOCKERFILE}",
            ROOT,
            within=BUILT_WITHIN,
        )

    def context(self):
        """The files that a builder is sent, of all that lie about here."""
        with tempfile.NamedTemporaryFile("w", dir=self.directory, suffix=".Dockerfile") as file:
            file.write("FROM scratch\nCOPY . /\n")
            file.flush()
            self.run("build", "--isolation=chroot", "--tag=localhost/context", f"--file={file.name}", ROOT)
        container = self.run("from", "localhost/context").strip()
        tree = pathlib.Path(self.run("mount", container).strip())
        sent = {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir()}
        self.run("rm", container)
        return sent


def as_static(debian, tree):
    """Lays out what distroless/static has."""
    for package in STATIC_HAS:
        for line in (debian / f"var/lib/dpkg/info/{package}.list").read_text().split("\n"):
            path = debian / line.lstrip("/")
            if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                copy(path, tree / line.lstrip("/"))
    copy(debian / "etc/ssl/certs/ca-certificates.crt", tree / "etc/ssl/certs/ca-certificates.crt")
    for name, text in (("passwd", ACCOUNTS), ("group", GROUPS), ("nsswitch.conf", NAME_SERVICES)):
        (tree / "etc" / name).write_text(text)
    home = tree / "home/nonroot"
    home.mkdir(parents=True)
    os.chown(home, 65532, 65532)
    home.chmod(0o700)
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)


def copy(path, there):
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, there)


def toolchain_of(version):
    told = tell([need("rustc", "rustc"), "--version"]).split()[1]
    expect(told == version, f"this machine has Rust {told}, and the Dockerfile compiles with {version}")
    return pathlib.Path(tell(["rustc", "--print", "sysroot"]).strip())


def cargo_home():
    return pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")


def tell(command, log=None, within=60.0, **more):
    """What a program prints; what it says besides goes to a log, and into the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=within, stdin=subprocess.DEVNULL, **more)
    if log is not None:
        with log.open("a") as file:
            file.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise Failed(f"{pathlib.Path(command[0]).name} ended with {done.returncode}:\n{last}")
    return done.stdout
