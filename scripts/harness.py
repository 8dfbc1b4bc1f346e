"""What the system checks share: a service in a directory of its own, and a client for it.

The checks see the service as its users do, from outside: a process, its exit code, its ports.
Everything listens on free loopback ports, and only processes that were started here are ended.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFAULT_BINARY = ROOT / "target" / "debug" / "belvedere"
PASSWORD = "a quiet bench above the river"
# A debug build on a busy machine starts in well under a second; ten times that is a failure.
READY_WITHIN = 10.0
# The service promises to be gone within its drain timeout (20 s) and five seconds for telemetry.
EXIT_WITHIN = 25.0


class Failed(Exception):
    """A check found the service wanting."""


class Answer:
    """A response, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Process:
    """A program that runs beside the check, its output in a file; ended when the check ends."""

    def __init__(self, name, command, directory, environment=None, **started_as):
        self.name = name
        self.output = pathlib.Path(directory) / f"{name}.log"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **started_as,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def text(self):
        return self.output.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def exit_code(self, within=EXIT_WITHIN):
        try:
            return self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} still runs after {within:g} s") from None

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) / 1024

    def expect_running(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.text()}")


class Service(Process):
    """belvedere on a SQLite file in `directory`; settings are given as environment variables."""

    def __init__(self, binary, directory, port=None, **variables):
        self.binary = binary
        self.directory = pathlib.Path(directory)
        self.port = port or free_port()
        # Only what the check sets: a variable of the caller's must not change what is checked.
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "APP_SERVER__ADDR": f"127.0.0.1:{self.port}",
            **variables,
        }
        super().__init__("belvedere", [binary], directory, self.environment)
        try:
            eventually("the service to be ready", READY_WITHIN, self._is_ready)
        except BaseException:
            self.__exit__()
            raise

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _is_ready(self):
        self.expect_running()
        try:
            return self.request("GET", "/readyz").status == 200
        except OSError:
            return False

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)

    def request(self, method, path, body=None, token=None, headers=()):
        connection = self.connect()
        with contextlib.closing(connection):
            connection.request(method, path, encode(body), request_headers(body, token, headers))
            return Answer(connection.getresponse())

    def expect(self, status, *request, **parts):
        answer = self.request(*request, **parts)
        if answer.status != status:
            called = " ".join(str(part) for part in request[:2])
            raise Failed(f"{called} answered {answer.status}, not {status}: {answer.body!r}")
        return answer

    def register(self, email):
        user = {"name": "Ada Stone", "email": email, "password": PASSWORD}
        return self.expect(201, "POST", "/users", user).json()

    def login(self, email):
        answer = self.expect(200, "POST", "/auth/login", {"email": email, "password": PASSWORD})
        return answer.json()["access_token"]

    def metrics(self):
        """The lines of a scrape."""
        return self.expect(200, "GET", "/metrics").body.decode().splitlines()

    def command(self, *arguments):
        """Runs a command of the binary against the same database."""
        command = [str(self.binary), *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Failed(f"belvedere {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def log_lines(self):
        """What the service has logged so far, as objects."""
        lines = (line for line in self.text().splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]

    def terminate(self):
        """Asks for the ordered shutdown and returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()


def encode(body):
    return None if body is None else json.dumps(body).encode()


def request_headers(body=None, token=None, more=()):
    headers = dict(more)
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def fetch_json(url):
    """GET of a JSON document from another program on this machine."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
    with contextlib.closing(connection):
        connection.request("GET", f"{parts.path}?{parts.query}")
        return Answer(connection.getresponse()).json()


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def can_connect(port):
    """Whether something on this machine listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def eventually(what, within, probe, pause=0.05):
    """Returns the first true answer of `probe`; fails when there is none in time."""
    deadline = time.monotonic() + within
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {within:g} s in vain for {what}")
        time.sleep(pause)
    return answer


def expect(truth, what):
    if not truth:
        raise Failed(what)


def need(program, package):
    """The path of a program that the check cannot do without."""
    path = shutil.which(program)
    if path is None:
        raise Failed(f"{program} is not installed (Debian package {package})")
    return path


def blocks(document, language, heading, with_subsections=False):
    """The blocks of a language below a heading of a document, up to the next heading."""
    text = (ROOT / document).read_text()
    heads = list(re.finditer(r"^(#+) (.*)$", code_free(text), re.MULTILINE))
    here = next((head for head in heads if head[2] == heading), None)
    expect(here, f"{document} has no heading {heading!r}")
    ends = [head for head in heads if head.start() > here.start()]
    if with_subsections:
        ends = [head for head in ends if len(head[1]) <= len(here[1])]
    end = ends[0].start() if ends else len(text)
    return re.findall(rf"^```{language}\n(.*?)^```$", text[here.end() : end], re.MULTILINE | re.DOTALL)


def code_free(text):
    """The same length, with nothing in blocks: a comment of a program looks like a heading."""
    return re.sub(r"^```.*?^```$", lambda block: re.sub(r"[^\n]", " ", block[0]), text, flags=re.MULTILINE | re.DOTALL)


def main(check):
    """Runs `check(binary, directory)`; the binary is the first argument, or the debug build."""
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_BINARY).resolve()
    name = pathlib.Path(sys.argv[0]).name
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"belvedere-{name}-"))
    try:
        if not binary.is_file():
            raise Failed(f"there is no {binary}; `cargo build` makes it")
        check(binary, directory)
    except Failed as failure:
        print(f"{name}: FAILED: {failure}\nWhat the programs said is in {directory}", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(directory)
    print(f"{name}: passed")
