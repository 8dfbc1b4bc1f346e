#!/usr/bin/env python3
"""Somebody who uses the service, so that there is something to see: registers, logs in, reads, writes, and does each
thing wrong now and then.

Usage: traffic.py URL [SECONDS]

Sends about five requests a second, until SIGTERM or for SECONDS. That is half of what one client may send, and less
than what it may ask of `auth`, but for a burst of logins each minute that is meant to be refused. Each minute one
upload stalls until the service gives it up with 503.
"""

import http.client
import itertools
import json
import random
import secrets
import signal
import sys
import threading
import time
import urllib.parse

PAUSE = 0.2
PASSWORD = "a quiet bench above the river"
MERGE = {"Content-Type": "application/merge-patch+json"}
# Longer than the longest answer, which is that to a stalled upload.
TIMEOUT = 30


class Client:
    """One connection, which is opened again when it is closed."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        self.token = None

    def send(self, method, path, body=None, token=True, headers=()):
        headers = {"User-Agent": "traffic", "Content-Type": "application/json", **dict(headers)}
        if token and self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            self.connection.request(method, path, payload, headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except (OSError, http.client.HTTPException) as error:
            print(f"{method} {path}: {error}", file=sys.stderr)
            self.connection.close()
            return 0, b"", {}

    def stall(self):
        """An upload that says more than it sends."""
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        try:
            connection.putrequest("POST", "/users")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", "1000")
            connection.endheaders(b"{")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            print(f"stalled upload: {error}", file=sys.stderr)
        finally:
            connection.close()


class Person:
    """An account and what its owner does with it."""

    def __init__(self, client):
        self.client, self.id, self.etag = client, None, None
        self.email = f"{secrets.token_hex(6)}@example.com"

    def register(self):
        user = {"name": "Ada Stone", "email": self.email, "password": PASSWORD}
        status, body, _ = self.client.send("POST", "/users", user, token=False)
        if status == 201:
            self.id = json.loads(body)["id"]
        return status == 201

    def login(self):
        credentials = {"email": self.email, "password": PASSWORD}
        status, body, _ = self.client.send("POST", "/auth/login", credentials, token=False)
        if status == 200:
            self.client.token = json.loads(body)["access_token"]
        return status == 200

    def read(self):
        _, _, headers = self.client.send("GET", f"/users/{self.id}")
        self.etag = headers.get("ETag", self.etag)

    def read_again(self):
        self.client.send("GET", f"/users/{self.id}", headers={"If-None-Match": self.etag or "*"})

    def read_oneself(self):
        self.client.send("GET", "/users/me")

    def rename(self):
        name = f"Ada Stone {random.randrange(1000)}"
        self.client.send("PATCH", f"/users/{self.id}", {"name": name}, headers=MERGE)

    def rename_what_has_changed(self):
        self.client.send("PATCH", f"/users/{self.id}", {"name": "Ada"}, headers={**MERGE, "If-Match": '"0"'})

    def look_around(self):
        self.client.send("GET", "/", token=False)

    def get_lost(self):
        self.client.send("GET", f"/{secrets.token_hex(3)}", token=False)

    def list_without_right(self):
        self.client.send("GET", "/users")

    def write_nonsense(self):
        self.client.send("PATCH", f"/users/{self.id}", b'{"name": ', headers=MERGE)

    def write_what_is_invalid(self):
        self.client.send("PATCH", f"/users/{self.id}", {"phone_number": "none"}, headers=MERGE)

    def come_without_token(self):
        self.client.send("GET", "/users/me", token=False)

    def mistype(self):
        credentials = {"email": self.email, "password": f"{PASSWORD}!"}
        self.client.send("POST", "/auth/login", credentials, token=False)

    def delete(self):
        self.client.send("DELETE", f"/users/{self.id}")
        self.client.token = None


# What somebody does, and how often compared with the rest.
USUAL = {
    Person.read_oneself: 30,
    Person.read: 30,
    Person.read_again: 10,
    Person.rename: 10,
    Person.look_around: 5,
    Person.rename_what_has_changed: 2,
    Person.get_lost: 2,
    Person.list_without_right: 2,
    Person.write_nonsense: 1,
    Person.write_what_is_invalid: 2,
    Person.come_without_token: 2,
}


def main():
    url, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    deadline = time.monotonic() + seconds
    client, person, each_minute = Client(url), None, 0.0
    for turn in itertools.count():
        if over.wait(PAUSE) or time.monotonic() > deadline:
            break
        if person is None:
            newcomer = Person(client)
            if newcomer.register() and newcomer.login():
                person = newcomer
            else:
                over.wait(2)
            continue
        if time.monotonic() >= each_minute:
            each_minute = time.monotonic() + 60
            threading.Thread(target=client.stall, daemon=True).start()
        act(person, turn)
        # Half a minute's life of an account.
        if turn % 150 == 149:
            person.delete()
            person = None


def act(person, turn):
    if turn % 60 == 30:
        person.mistype()
    elif turn % 60 == 45:
        person.login()
    elif turn % 300 == 250:
        # More at once than rate_limit.auth has left.
        for _ in range(20):
            person.login()
    else:
        random.choices(list(USUAL), weights=list(USUAL.values()))[0](person)


main()
