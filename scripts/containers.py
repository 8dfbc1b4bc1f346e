"""The containers of a compose file without a container engine, as far as their programs are on this machine.

Each container gets what the file says: its command, environment, user and capabilities, a root file system of its own,
read-only where it says so, with the files and volumes at their places, and network interfaces in the networks of the
file, at whose names a name server answers as Docker's does. What an image would bring, the caller says: environment,
entry point, and the programs of this machine that stand in for its own. The root has all else of this machine too;
limits of resources, published ports and restarts are not done.

Needs root or sudo, and namespaces of its own for networks, mounts and processes, in which `enclosed` runs the caller
again.
"""

import collections
import contextlib
import ctypes
import ipaddress
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

import yaml

from harness import Failed, Process, eventually, expect

ENCLOSED = "CHECK_IS_ENCLOSED"
# What a container has to start from, whatever the caller's is.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME_SERVER = "127.0.0.11"
CLONE_NEWNET = 0x40000000
SETTLES_WITHIN = 60.0
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")

# What an image brings: entry point, default command, variables, programs by the path in the container, directories
# that belong to its user.
Image = collections.namedtuple("Image", "entrypoint command environment programs owned", defaults=([], [], {}, {}, []))


def enclosed():
    """Runs this script again in namespaces that end with it, and with them all that it started."""
    if ENCLOSED in os.environ:
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    variables = [f"{ENCLOSED}=1", f"PATH={os.environ['PATH']}"]
    flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*as_root, "env", *variables, "unshare", *flags, "--", sys.executable, *sys.argv]
    os.execvp(command[0], command)


def load(path):
    """A compose file with its variables at their defaults."""
    return yaml.safe_load(VARIABLE.sub(lambda variable: variable[2], path.read_text()))


class Engine:
    """Runs containers of one compose file, in the order that `depends_on` asks for."""

    def __init__(self, directory, root, compose, images):
        self.directory, self.root, self.compose, self.images = directory, root, compose, images
        self.containers = []
        self.done = set()
        self.names = Names(self)

    def __enter__(self):
        # Namespaces of networks are kept below /run; whatever this machine has there stays as it is.
        run("mount", "-t", "tmpfs", "none", "/run")
        run("ip", "link", "set", "lo", "up")
        self.stage = self.directory / "stage"
        self.stage.mkdir()
        run("mount", "-t", "tmpfs", "none", self.stage)
        self.networks = {name: Network(number, name, network or {}) for number, (name, network) in enumerate(self.compose["networks"].items())}
        self.names.start()
        return self

    def __exit__(self, *_):
        for container in reversed(self.containers):
            container.kill()
        self.names.stop()
        for container in reversed(self.containers):
            container.unmount()
        run("umount", "--recursive", self.stage)

    def up(self, name, scale=1):
        """Starts containers of a service, after those that it depends on; those without a program here are left out."""
        for other, dependency in self.compose["services"][name].get("depends_on", {}).items():
            if self.runs(other):
                if other not in self.done and not self.of(other):
                    self.up(other)
                self._await(other, dependency["condition"])
        started = [Container(self, name, len(self.containers)) for _ in range(scale)]
        return started if scale > 1 else started[0]

    def runs(self, name):
        return name in self.images

    def of(self, name):
        return [container for container in self.containers if container.service_name == name]

    def _await(self, name, condition):
        if condition == "service_completed_successfully" and name not in self.done:
            [container] = self.of(name)
            code = container.exit_code(SETTLES_WITHIN)
            expect(code == 0, f"{name} ended with {code}:\n{container.text()}")
            self.done.add(name)
        elif condition == "service_healthy":
            for container in self.of(name):
                container.until_healthy()

    def volume(self, name):
        path = self.stage / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
        return path


class Network:
    """A bridge; this machine has its first address, but for those that are internal."""

    def __init__(self, number, name, network):
        declared = network.get("ipam", {}).get("config", [])
        self.subnet = ipaddress.ip_network(declared[0]["subnet"] if declared else f"172.31.{number}.0/24")
        self.bridge = f"br{number}"
        self.hosts = self.subnet.hosts()
        gateway = next(self.hosts)
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "link", "set", self.bridge, "up")
        if not network.get("internal"):
            run("ip", "addr", "add", f"{gateway}/{self.subnet.prefixlen}", "dev", self.bridge)

    def attach(self, namespace, interface):
        """Gives a container an interface; its address."""
        address = str(next(self.hosts))
        outside = f"{namespace}{interface}"
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", interface, "netns", namespace)
        run("ip", "link", "set", outside, "master", self.bridge, "up")
        run("ip", "-n", namespace, "addr", "add", f"{address}/{self.subnet.prefixlen}", "dev", interface)
        run("ip", "-n", namespace, "link", "set", interface, "up")
        return address


class Container(Process):
    """One replica of a service of the compose file."""

    def __init__(self, engine, name, number):
        self.engine, self.service_name = engine, name
        self.service = engine.compose["services"][name]
        self.image = engine.images[name]
        self.namespace = f"c{number}"
        self.mounted = []
        self.addresses = {}
        self._connect()
        self.environment = {"PATH": PATH, **self.image.environment, **self.service.get("environment", {})}
        self.base = engine.stage / self.namespace
        self._build_root()
        engine.containers.append(self)
        command = [*self.service.get("entrypoint", self.image.entrypoint), *self.service.get("command", self.image.command)]
        super().__init__(f"{name}-{number}", self._inside(command), engine.directory)

    def _connect(self):
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        if self.service.get("network_mode") == "none":
            return
        for number, name in enumerate(self.service["networks"]):
            self.addresses[name] = self.engine.networks[name].attach(self.namespace, f"eth{number}")
        self.engine.names.serve(self)

    def _build_root(self):
        """This machine's root below a layer of the container's own, and its files and volumes on top."""
        self.root = self.base / "root"
        for part in ("upper", "work", "root"):
            (self.base / part).mkdir(parents=True)
        layers = f"lowerdir=/,upperdir={self.base / 'upper'},workdir={self.base / 'work'}"
        self._mount("-t", "overlay", "overlay", "-o", layers, self.root)
        for tree in ("/proc", "/dev"):
            self._mount("--rbind", tree, self.root / tree[1:])
        uid, _, gid = self.service["user"].partition(":")
        with (self.root / "etc/passwd").open("a") as passwd:
            passwd.write(f"contained:x:{uid}:{gid}::/:/bin/sh\n")
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        (self.root / "etc/resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
        for path in self.image.owned:
            place = self._place(path)
            place.mkdir(parents=True, exist_ok=True)
            os.chown(place, int(uid), int(gid))
        for target, source in self.image.programs.items():
            self._bind(source, target)
        for config in self.service.get("configs", []):
            self._bind(self.engine.root / self.engine.compose["configs"][config["source"]]["file"], config["target"])
        for volume in self.service.get("volumes", []):
            self._bind_volume(*volume.split(":"))
        for entry in self.service.get("tmpfs", []):
            target, _, options = entry.partition(":")
            place = self._place(target)
            place.mkdir(parents=True, exist_ok=True)
            self._mount("-t", "tmpfs", "none", *(["-o", options] if options else []), place)
        if self.service.get("read_only"):
            run("mount", "-o", "remount,ro", self.root)

    def _place(self, path):
        """Where a path of the container is; links lead to where they do on this machine, never out of the root."""
        return self.root / os.path.realpath(path)[1:]

    def _mount(self, *arguments):
        run("mount", *arguments)
        self.mounted.append(arguments[-1])

    def _bind(self, source, target):
        expect(pathlib.Path(source).is_file(), f"{self.service_name}: there is no file {source}")
        place = self._place(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        self._mount("--bind", source, place)
        run("mount", "-o", "remount,bind,ro", place)

    def _bind_volume(self, name, target, mode="rw"):
        source, place = self.engine.volume(name), self._place(target)
        place.mkdir(parents=True, exist_ok=True)
        # A new volume gets the owner that the directory has in the image.
        if target in self.image.owned and not any(source.iterdir()):
            owner = place.stat()
            os.chown(source, owner.st_uid, owner.st_gid)
        self._mount("--bind", source, place)
        if mode == "ro":
            run("mount", "-o", "remount,bind,ro", place)

    def _inside(self, command):
        """A command line that runs it with the rights of the container."""
        uid, _, gid = self.service["user"].partition(":")
        rights = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        if "ALL" in self.service.get("cap_drop", []):
            kept = "".join(f",+{capability.lower()}" for capability in self.service.get("cap_add", []))
            rights += [f"--bounding-set=-all{kept}", "--inh-caps=-all"]
        if "no-new-privileges:true" in self.service.get("security_opt", []):
            rights.append("--no-new-privs")
        variables = [f"{key}={value}" for key, value in self.environment.items()]
        namespace = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        return [*namespace, "chroot", self.root, "setpriv", *rights, "env", "-i", "--", *variables, *command]

    def run(self, *command):
        """Runs another command in the container, to its end."""
        return subprocess.run(self._inside(command), capture_output=True, text=True, timeout=SETTLES_WITHIN)

    def is_healthy(self):
        kind, *command = self.service["healthcheck"]["test"]
        expect(kind == "CMD", f"{self.service_name}: a health check by a shell")
        return self.run(*command).returncode == 0

    def until_healthy(self):
        eventually(f"{self.name} to be healthy", SETTLES_WITHIN, lambda: self.expect_running() or self.is_healthy(), pause=0.2)

    def gone(self):
        """Forgets a container that has ended: its name leads nowhere."""
        self.engine.containers.remove(self)
        self.unmount()

    def unmount(self):
        for place in reversed(self.mounted):
            run("umount", "--recursive", place)
        self.mounted.clear()


class Names:
    """The name server of all containers: answers with the addresses of a service's containers that run and are in a
    network of who asks."""

    def __init__(self, engine):
        self.engine = engine
        self.sockets = {}
        self.over = threading.Event()

    def start(self):
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def stop(self):
        self.over.set()
        self.thread.join()
        for listener in self.sockets:
            listener.close()

    def serve(self, container):
        self.sockets[socket_in(container.namespace)] = container

    def _answer(self):
        while not self.over.is_set():
            for listener, container in list(self.sockets.items()):
                with contextlib.suppress(BlockingIOError):
                    query, client = listener.recvfrom(4096)
                    listener.sendto(self._reply(query, container), client)
            time.sleep(0.002)

    def _reply(self, query, container):
        """RFC 1035, as far as it is needed: one question, answers of type A."""
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        question = query[12 : at + 5]
        [kind] = struct.unpack(">H", query[at + 1 : at + 3])
        addresses = list(self._addresses(".".join(labels), container))
        # Recursion is available; the name does not exist where nobody has it.
        flags = 0x8180 if addresses else 0x8183
        answers = addresses if kind == 1 else []
        header = query[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 600, 4)
        return header + question + b"".join(record + socket.inet_aton(address) for address in answers)

    def _addresses(self, name, container):
        for other in self.engine.of(name):
            if other.process.poll() is None:
                shared = [network for network in container.addresses if network in other.addresses]
                yield from (other.addresses[network] for network in shared[:1])


def socket_in(namespace):
    """A socket of the name server in a container's network. Threads can be in different ones."""
    made = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{namespace}") as file:
            expect(libc.setns(file.fileno(), CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((NAME_SERVER, 53))
        listener.setblocking(False)
        made.append(listener)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    expect(made, f"no name server in {namespace}")
    return made[0]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(part) for part in command)}: {done.stderr}")


def program(name):
    """The file of a program of this machine."""
    found = shutil.which(name)
    expect(found, f"{name} is not installed")
    return os.path.realpath(found)
