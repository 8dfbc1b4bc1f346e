"""HAProxy with the configuration that docs/operating.md recommends, on free loopback ports.

What the check adds is in a file of its own: a socket to ask for the state of the servers.
"""

import contextlib
import re
import socket

from harness import Failed, Process, blocks, can_connect, eventually, expect, free_port, need

DOCUMENT = "docs/operating.md"
SECTION = "Several replicas behind a load balancer"
NAMES = ("a", "b", "c")
STARTED_WITHIN = 15.0
# A server that came back is noticed within half a second; the rest is for busy machines.
NOTICED_WITHIN = 20.0
ASK = "global\n    stats socket {path} mode 600 level user\n"
# "option httplog"; see HAProxy's configuration manual, section 8.2.3.
LINE = re.compile(
    r" users (?P<backend>[\w<>]+)/(?P<server>[\w<>]+) [-\d/+]+ (?P<status>-?\d+) \+?\d+ - - (?P<end>\S{4})"
    r" [\d/]+/\+?(?P<retries>\d+) [\d/]+ \{(?P<id>[^}]*)\}"
)


class HAProxy(Process):
    """Hands requests to the replicas, which are named a, b and c as in the document."""

    def __init__(self, directory, ports):
        self.port = free_port()
        self.socket = directory / "haproxy.sock"
        recommended, own = directory / "haproxy.cfg", directory / "check.cfg"
        recommended.write_text(configuration(self.port, ports))
        own.write_text(ASK.format(path=self.socket))
        command = [need("haproxy", "haproxy"), "-db", "-f", recommended, "-f", own]
        super().__init__("haproxy", command, directory)

    def __enter__(self):
        eventually("HAProxy to listen", STARTED_WITHIN, lambda: self.expect_running() or can_connect(self.port))
        for name in NAMES:
            self.until_up(name)
        return self

    def until_up(self, name):
        eventually(f"HAProxy to see that replica {name} is ready", NOTICED_WITHIN, lambda: self.is_up(name))

    def is_up(self, name):
        """Whether both backends send requests to the replica."""
        rows = (line.split(",") for line in self._ask("show stat").splitlines())
        states = [row[17] for row in rows if len(row) > 17 and row[1] == name]
        expect(len(states) == 2, f"HAProxy knows {len(states)} servers {name}")
        return all(state.startswith("UP") for state in states)

    def requests(self):
        """What the log says of each request, by its id."""
        found = (LINE.search(line) for line in self.text().splitlines())
        return {line["id"]: line.groupdict() for line in found if line}

    def _ask(self, command):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def configuration(port, ports):
    """The document's, with the addresses of this check."""
    text = only_block("haproxy").replace("bind :8080\n", f"bind 127.0.0.1:{port}\n")
    for number, replica in enumerate(ports, 1):
        text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{replica}")
    expect(f"127.0.0.1:{port}\n" in text and "10.0.0." not in text, f"other addresses in {DOCUMENT}")
    return text


def only_block(language):
    found = blocks(DOCUMENT, language, SECTION)
    if len(found) != 1:
        raise Failed(f"{DOCUMENT} has {len(found)} {language} blocks below {SECTION!r}, not one")
    return found[0]
