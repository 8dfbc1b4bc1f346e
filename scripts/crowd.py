"""A steady crowd of clients, and an account of every request they sent and of every answer.

Each client keeps one connection, registers users, changes its own and reads it. Nothing is sent twice: a
request without a good answer is a failure, and is written down with what became of it.
"""

import http.client
import itertools
import json
import random
import secrets
import statistics
import threading
import time

from harness import PASSWORD, encode, request_headers

# Of ten requests, in this order: a registration, three changes, six reads.
MIX = ("register", "read", "change", "read", "read", "change", "read", "read", "change", "read")
# Between two requests of a client, on average, in seconds: a load that a busy machine carries too.
PAUSE = 0.06
# Longer than the load balancer waits for a replica, so that its answer is seen.
ANSWERED_WITHIN = 30.0


class Sent:
    """One request: when it was sent, when it was over, and how."""

    def __init__(self, kind):
        self.kind = kind
        self.id = f"crowd-{secrets.token_hex(8)}"
        self.at = time.monotonic()
        self.over = None
        # None is a good answer.
        self.failure = None

    def open_between(self, start, end):
        return self.at <= end and (self.over is None or self.over >= start)


class Client(threading.Thread):
    """One client with one user of its own, and one connection for as long as it holds."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERED_WITHIN)
        self.number = number
        self.random = random.Random(number)
        self.stop = threading.Event()
        self.sent = []
        # Users by address: the id of those whose creation was answered 201, None of the others.
        self.registered = {}
        self.name, self.version, self.token, self.user = None, None, None, None
        # Changes whose outcome is not known, since the last answer that told the version.
        self.unsettled = 0
        self.error = None

    def join_in(self):
        """Registers and logs in the client's own user."""
        email = f"client{self.number}@example.com"
        status, _, created = self.ask(Sent("join"), "POST", "/users", user(email))
        assert status == 201, created
        self.user, self.name, self.version = created["id"], created["name"], 1
        self.registered[email] = self.user
        status, _, answer = self.ask(Sent("join"), "POST", "/auth/login", {"email": email, "password": PASSWORD})
        assert status == 200, answer
        self.token = answer["access_token"]

    def run(self):
        turns = itertools.islice(itertools.cycle(MIX), self.number % len(MIX), None)
        try:
            while not self.stop.wait(self.random.uniform(0, 2 * PAUSE)):
                self.turn(next(turns))
        except Exception as error:  # The check must hear of it, whatever it is.
            self.error = error

    def turn(self, kind):
        sent = Sent(kind)
        self.sent.append(sent)
        try:
            getattr(self, kind)(sent)
        except (OSError, http.client.HTTPException) as error:
            # The connection is unusable now; the next request makes a new one.
            self.connection.close()
            sent.failure = f"no answer ({type(error).__name__})"
        sent.over = time.monotonic()

    def register(self, sent):
        email = f"new-{self.number}-{len(self.registered)}@example.com"
        self.registered[email] = None
        status, _, created = self.ask(sent, "POST", "/users", user(email))
        if good(sent, status, 201):
            self.registered[email] = created["id"]

    def change(self, sent):
        name = f"Ada {secrets.token_hex(6)}"
        # One that were done twice would be refused the second time.
        headers = {"If-Match": f'"{self.version}"', "Content-Type": "application/merge-patch+json"}
        self.unsettled += 1
        status, tag, _ = self.ask(sent, "PATCH", f"/users/{self.user}", {"name": name}, headers)
        if good(sent, status, 200):
            self.name, self.version, self.unsettled = name, version(tag), 0

    def read(self, sent):
        status, tag, found = self.ask(sent, "GET", f"/users/{self.user}")
        if not good(sent, status, 200):
            return
        if self.unsettled == 0 and (version(tag), found["name"]) != (self.version, self.name):
            sent.failure = f"version {version(tag)} read after {self.version} was acknowledged"
        self.name, self.version, self.unsettled = found["name"], version(tag), 0

    def ask(self, sent, method, path, body=None, headers=()):
        headers = request_headers(body, self.token, {**dict(headers), "X-Request-Id": sent.id})
        self.connection.request(method, path, encode(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        # HAProxy's own answers are no JSON.
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, answer.headers.get("ETag"), json.loads(text) if is_json else None


class Crowd:
    """All the clients; ends with the `with` block."""

    def __init__(self, port, number):
        self.clients = [Client(port, number) for number in range(number)]

    def __enter__(self):
        for client in self.clients:
            client.join_in()
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join()
            client.connection.close()

    def sent(self):
        return [sent for client in self.clients for sent in list(client.sent)]


def latencies(requests):
    """50th and 99th percentile of the answered ones, in milliseconds."""
    times = [(sent.over - sent.at) * 1000 for sent in requests if sent.failure is None]
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return cuts[49], cuts[98]


def good(sent, status, expected):
    if status != expected:
        sent.failure = f"status {status}"
    return status == expected


def user(email):
    return {"name": "Ada Stone", "email": email, "password": PASSWORD}


def version(tag):
    return int(tag.strip('"'))
