"""Containers of the image, as an engine runs them, and a network of their own to meet them in.

podman with runc does what Docker and Kubernetes do: namespaces, no capabilities, no new privileges, the usual
seccomp filter, a read-only root, a limit of memory.
"""

import contextlib
import ctypes
import errno
import fcntl
import http.client
import json
import os
import pathlib
import re
import socket
import struct
import threading
import time

from delivery.image_bases import tell
from harness import Answer, Failed, encode, eventually, expect, need, request_headers

# More than the two hashes at once that the service has by default need, and what the measured figures hold for.
MEMORY = "256m"
NETWORK_NAMESPACE = 0x40000000
READY_WITHIN = 30.0
# Longer than the service takes at most: its drain timeout of 20 s and 5 s for telemetry.
STOP_WITHIN = 30


class Network:
    """A network namespace with nothing but a loopback interface; ports in it are nobody else's."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._call("unshare", NETWORK_NAMESPACE)
        try:
            self.inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            loopback_up()
        finally:
            self._call("setns", self.outside, NETWORK_NAMESPACE)

    @property
    def option(self):
        return f"--network=ns:/proc/{os.getpid()}/fd/{self.inside}"

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread makes meanwhile are in there, for good."""
        self._call("setns", self.inside, NETWORK_NAMESPACE)
        try:
            yield
        finally:
            self._call("setns", self.outside, NETWORK_NAMESPACE)

    def _call(self, name, *arguments):
        if getattr(self.libc, name)(*arguments) != 0:
            raise Failed(f"{name}: {os.strerror(ctypes.get_errno())} (these checks need root)")


class Host:
    """The network of this machine."""

    option = "--network=host"

    @contextlib.contextmanager
    def entered(self):
        yield


class Client:
    """Speaks HTTP with 127.0.0.1 in a network."""

    def __init__(self, network, port):
        self.network, self.port = network, port

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with self.network.entered():
            connection.connect()
        return connection

    def request(self, method, path, body=None, token=None):
        connection = self.connect()
        with contextlib.closing(connection):
            connection.request(method, path, encode(body), request_headers(body, token))
            return Answer(connection.getresponse())

    def expect(self, status, *request, **parts):
        answer = self.request(*request, **parts)
        called = " ".join(request[:2])
        expect(answer.status == status, f"{called} answered {answer.status}, not {status}: {answer.body!r}")
        return answer


class Engine:
    """podman with a storage of its own."""

    def __init__(self, directory):
        self.directory = directory
        storage = [f"--root={directory / 'storage'}", f"--runroot={directory / 'running'}", "--storage-driver=vfs"]
        alone = [f"--tmpdir={directory / 'engine'}", "--cgroup-manager=cgroupfs", f"--runtime={need('runc', 'runc')}"]
        # Less than fatal is that no systemd is there to run the health check at its times; these checks run it.
        self.command = [need("podman", "podman"), *storage, *alone, "--log-level=fatal"]

    def run(self, *arguments, within=60.0):
        return tell([*self.command, *map(str, arguments)], self.directory / "podman.log", within)

    def inspect(self, kind, name):
        return json.loads(self.run(kind, "inspect", name))[0]

    def load(self, archive):
        """The name of the image in an archive of `docker save` or `podman save`."""
        told = self.run("load", "--quiet", f"--input={archive}", within=300.0)
        return re.search(r"^Loaded image:\s+(\S+)", told, re.MULTILINE)[1]

    @contextlib.contextmanager
    def tree(self, image):
        """The files of an image."""
        try:
            yield pathlib.Path(self.run("image", "mount", image, within=300.0).strip())
        finally:
            self.run("image", "unmount", image)

    def clear(self):
        with contextlib.suppress(Failed):
            self.run("rm", "--all", "--force", "--time=0")


class Container:
    """One container of the image, confined as strictly as an engine can."""

    def __init__(self, engine, image, network, *arguments, variables=(), mounts=()):
        self.engine = engine
        self.id = engine.run(
            "create",
            network.option,
            "--read-only",
            # Not even the directories that podman makes writable in spite of it.
            "--read-only-tmpfs=false",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            f"--memory={MEMORY}",
            # What podman sets unless told may be more than this machine allows.
            "--ulimit=nofile=1024:4096",
            "--ulimit=nproc=1000:1000",
            # The command stays as the image has it; its times need systemd.
            "--health-interval=disable",
            *(f"--volume={mount}" for mount in mounts),
            *(f"--env={name}={value}" for name, value in dict(variables).items()),
            image,
            *arguments,
        ).strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.engine.run("rm", "--force", "--time=0", self.id)

    def start(self):
        self.engine.run("start", self.id)

    def state(self):
        return self.engine.inspect("container", self.id)["State"]

    def text(self):
        log = self.engine.inspect("container", self.id)["HostConfig"]["LogConfig"]["Path"]
        # Each line has a time, a stream, and F or P for whole and for part of a line before it.
        lines = pathlib.Path(log).read_text(errors="replace").splitlines(keepends=True)
        parts = [line.split(" ", 3) for line in lines]
        return "".join(text.rstrip("\n") + ("\n" if whole == "F" else "") for _, _, whole, text in parts)

    def log_lines(self):
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def ended(self, within=READY_WITHIN):
        """The exit code of a command that ends by itself."""
        eventually("the container to end", within, lambda: self.state()["Status"] == "exited")
        return self.state()["ExitCode"]

    def ready(self):
        """The line that says that it serves."""

        def told():
            lines = [line for line in self.log_lines() if line["message"] == "ready"]
            if not lines and self.state()["Status"] == "exited":
                raise Failed(f"the service ended with {self.state()['ExitCode']}:\n{self.text()}")
            return lines

        return eventually("the ready line", READY_WITHIN, told, 0.02)[-1]

    def healthy(self):
        """What the image's HEALTHCHECK says."""
        try:
            self.engine.run("healthcheck", "run", self.id)
        except Failed:
            return False
        return True

    def stop(self):
        """Sends the image's STOPSIGNAL; the exit code."""
        started = time.monotonic()
        self.engine.run("stop", f"--time={STOP_WITHIN}", self.id, within=STOP_WITHIN + 30.0)
        taken = time.monotonic() - started
        expect(taken < STOP_WITHIN, f"it did not end within {STOP_WITHIN} s of its stop signal and was killed")
        return self.state()["ExitCode"]

    def process(self):
        return Confined(self.state()["Pid"])


class Confined:
    """The service's process, seen from this machine."""

    def __init__(self, number):
        self.directory = pathlib.Path("/proc") / str(number)

    def status(self):
        lines = (self.directory / "status").read_text().splitlines()
        return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}

    def resident_mib(self, kind="VmRSS"):
        return int(self.status()[kind][0]) / 1024

    def mounts(self):
        lines = (self.directory / "mounts").read_text().splitlines()
        return {path: options.split(",") for _, path, _, options, *_ in (line.split() for line in lines)}

    def write(self, path):
        """What the kernel answers to the service's user who makes a file at a path of the container."""
        root = os.open(self.directory / "root", os.O_PATH)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            number = errno.EPROTO
            try:
                os.setgroups([])
                os.setresgid(65532, 65532, 65532)
                os.setresuid(65532, 65532, 65532)
                os.close(os.open(path.lstrip("/"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=root))
                os.unlink(path.lstrip("/"), dir_fd=root)
                number = 0
            except OSError as error:
                number = error.errno
            finally:
                os.write(writing, struct.pack("i", number))
                os._exit(0)
        os.waitpid(child, 0)
        (number,) = struct.unpack("i", os.read(reading, 4))
        for descriptor in (root, reading, writing):
            os.close(descriptor)
        return errno.errorcode.get(number, "written")


class Names(threading.Thread):
    """A DNS server that knows one name, and that it is 127.0.0.1. Ends with the check."""

    def __init__(self, network, name):
        super().__init__(daemon=True)
        self.question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
        self.asked = 0
        with network.entered():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            query, client = self.socket.recvfrom(512)
            self.socket.sendto(self.answer(query), client)

    def answer(self, query):
        end = query.index(b"\0", 12) + 5
        known = query[12 : end - 4].lower() == self.question
        self.asked += known
        # An address for a question of type A, none of other types, and no such name for all others.
        has = known and query[end - 4 : end - 2] == b"\0\1"
        flags = 0x8580 if known else 0x8583
        address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("127.0.0.1") if has else b""
        return query[:2] + struct.pack(">HHHHH", flags, 1, int(has), 0, 0) + query[12:end] + address


class Relay(threading.Thread):
    """Connections to a port in the network go on to the same port of this machine."""

    def __init__(self, network, port):
        super().__init__(daemon=True)
        self.port = port
        with network.entered():
            self.listener = socket.create_server(("127.0.0.1", port))
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.port))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def loopback_up():
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, get_flags, request))
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | up))
