"""The traffic of the story check: requests of every kind, and an account of what was sent.

Each request has an id of its own, and every other one a trace of its caller's. Whatever its answer
says of its story is kept, to be held against what was stored of it elsewhere.
"""

import concurrent.futures
import contextlib
import itertools
import re
import secrets
import sqlite3
import time

from harness import PASSWORD, Answer, encode, eventually, expect, request_headers

# A debug build on a busy machine, a batch each 200 ms, a scrape each second.
ARRIVES_WITHIN = 20.0
CLIENTS = 8
SLOW_QUERY = 0.2
SETTINGS = {
    "APP_RATE_LIMIT__ENABLED": "false",
    "APP_DATABASE__SLOW_QUERY": f"{SLOW_QUERY * 1000:.0f}ms",
}

ME, USER, USERS, LOGIN = "/users/me", "/users/{user_id}", "/users", "/auth/login"
# What stands in requests and must be nowhere else. Each is long enough to be found by no accident.
MARK = "canary4711"
E_MAIL = f"{MARK}.mail@example.com"
NAME = f"Ada {MARK}-name"
QUERY = f"?page={MARK}-query&token={MARK}-token"
HEADERS = {"Cookie": f"session={MARK}-cookie", "X-Api-Key": f"{MARK}-key", "User-Agent": "check-story"}
TIMING = re.compile(
    r'total;dur=(?P<total>[\d.]+), .*desc="(?P<queries>\d+) queries", '
    r'traceparent;desc="00-(?P<trace>\w{32})-(?P<span>\w{16})-(?P<flags>\w\w)"'
)


class Sent:
    """A request that was sent, and what its answer said of its story."""

    def __init__(self, method, route, status, traced):
        self.method, self.route, self.status = method, route, status
        self.request_id = f"story-{secrets.token_hex(8)}"
        self.trace, self.parent = (secrets.token_hex(16), secrets.token_hex(8)) if traced else (None, "")
        self.span = self.queries = self.total = None
        self.sampled = True
        # Log records that it has besides the request line.
        self.lines = set()

    def headers(self, flags):
        headers = {**HEADERS, "X-Request-Id": self.request_id}
        if self.trace:
            headers["traceparent"] = f"00-{self.trace}-{self.parent}-{flags}"
        return headers

    def answered(self, answer):
        called = f"{self.method} {self.route}"
        expect(answer.status == self.status, f"{called} answered {answer.status}, not {self.status}: {answer.body!r}")
        expect(answer.headers["X-Request-Id"] == self.request_id, f"{called} lost its request id")
        timing = TIMING.search(answer.headers["Server-Timing"])
        expect(timing is not None, f"{called}: {answer.headers['Server-Timing']}")
        expect(self.trace in (None, timing["trace"]), f"{called} left the caller's trace")
        self.trace, self.span, self.queries = timing["trace"], timing["span"], int(timing["queries"])
        self.sampled, self.total = timing["flags"] == "01", float(timing["total"]) / 1000

    def __str__(self):
        return f"{self.method} {self.route or 'without a route'} {self.status or 'without answer'} ({self.trace})"


class Traffic:
    """Sends requests to a service and keeps account of them."""

    def __init__(self, service, flags="01"):
        self.service = service
        self.flags = flags
        self.sent = []
        self.secrets = [PASSWORD, MARK]
        # Every other request continues a trace of its caller's.
        self._turn = itertools.cycle([True, False])
        self.token = self.user = None

    def send(self, status, method, route, path=None, body=None, token=None, headers=(), traced=None):
        sent = Sent(method, route, status, next(self._turn) if traced is None else traced)
        headers = {**sent.headers(self.flags), **dict(headers)}
        answer = self._ask(method, (path or route) + QUERY, body, request_headers(body, token, headers))
        sent.answered(answer)
        self.sent.append(sent)
        return sent, answer

    def _ask(self, method, target, body, headers):
        connection = self.service.connect()
        with contextlib.closing(connection):
            connection.request(method, target, body if isinstance(body, bytes) else encode(body), headers)
            return Answer(connection.getresponse())

    def begin(self):
        """Somebody registers and logs in."""
        _, answer = self.send(201, "POST", USERS, body=user(E_MAIL))
        self.user = answer.json()["id"]
        _, answer = self.send(200, "POST", LOGIN, body={"email": E_MAIL, "password": PASSWORD})
        self.token = answer.json()["access_token"]
        self.secrets.append(self.token)

    def read(self, **more):
        return self.send(200, "GET", ME, token=self.token, **more)[0]

    def rename(self, status=200, headers=(), **more):
        headers = {"Content-Type": "application/merge-patch+json", **dict(headers)}
        path = f"/users/{self.user}"
        body = {"name": f"{NAME} {secrets.token_hex(4)}"}
        return self.send(status, "PATCH", USER, path, body, self.token, headers, **more)[0]

    def refusals(self):
        """One of each kind that a caller can bring about."""
        invalid = {"name": "", "email": f"{MARK} at example", "password": f"{MARK}"}
        wrong = {"email": E_MAIL, "password": f"{MARK} no such password"}
        self.send(404, "GET", "", "/made-up")
        self.send(401, "GET", ME)
        self.send(401, "GET", ME, token=f"{MARK}.no.token")
        self.send(401, "POST", LOGIN, body=wrong)
        self.send(409, "POST", USERS, body=user(E_MAIL.upper()))
        self.send(422, "POST", USERS, body=invalid)
        self.send(400, "POST", USERS, body=f'{{"name": "{MARK}'.encode(), headers={"Content-Type": "application/json"})
        self.send(415, "POST", USERS, body=b"name", headers={"Content-Type": "text/plain"})
        self.send(405, "DELETE", USERS)
        self.send(403, "GET", USERS, token=self.token)
        self.rename(412, {"If-Match": '"4711"'})

    def slow(self, seconds):
        """A request one of whose statements waits for the database as long as that."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool, write_lock(self.service):
            waiting = pool.submit(self.rename)
            self._until_in_flight()
            over = time.monotonic() + seconds
            eventually("the time of a slow statement", 60.0, lambda: time.monotonic() > over)
        sent = waiting.result()
        sent.lines = {"slow database statement"}
        return sent

    def leave(self):
        """A client that goes away while its request waits for the database."""
        sent = Sent("PATCH", USER, None, traced=True)
        body = encode({"name": NAME})
        headers = {**sent.headers(self.flags), "Content-Type": "application/merge-patch+json"}
        with write_lock(self.service):
            connection = self.service.connect()
            connection.request("PATCH", f"/users/{self.user}", body, request_headers(body, self.token, headers))
            self._until_in_flight()
            connection.close()
            told = lambda: any(line.get("request_id") == sent.request_id for line in self._request_lines())
            eventually("the line of a request whose client went away", ARRIVES_WITHIN, told)
        self.sent.append(sent)

    def begin_half(self):
        """A request whose body does not come to its end; its connection."""
        connection = self.service.connect()
        connection.putrequest("PATCH", f"/users/{self.user}")
        headers = {"Content-Type": "application/merge-patch+json", "Content-Length": "1000"}
        for name, value in request_headers(token=self.token, more=headers).items():
            connection.putheader(name, value)
        connection.endheaders(b"{")
        self._until_in_flight()
        return connection

    def burst(self, number, **more):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda _: self.read(**more), range(number)))

    def _until_in_flight(self):
        gauge = 'http_server_active_requests{http_request_method="PATCH",url_scheme="http"} 1'
        eventually("a request in flight", ARRIVES_WITHIN, lambda: gauge in self.service.metrics())

    def _request_lines(self):
        return [line for line in self.service.log_lines() if line["message"] == "request"]


def user(email):
    return {"name": NAME, "email": email, "password": PASSWORD}


def database(service):
    # Autocommit: what is changed is changed at once.
    path = service.directory / "belvedere.db"
    return contextlib.closing(sqlite3.connect(path, timeout=15, isolation_level=None))


@contextlib.contextmanager
def write_lock(service):
    """Nobody else writes to the database meanwhile."""
    with database(service) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def spoilt(service):
    """Users can be read, but changing one fails in the database, in words that may be anything."""
    words = f"no {MARK} today"
    with database(service) as connection:
        connection.execute(f"CREATE TRIGGER spoilt BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, '{words}'); END")
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER spoilt")
