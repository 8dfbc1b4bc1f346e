"""What schemathesis cannot know by itself: who asks, which ids and passwords exist, and what the answers were.

scripts/check-fuzz starts schemathesis with this module, once for each identity, and says in FUZZ_* which
one, and where the service is. Nothing here knows an operation: accounts that end are made anew whenever
their token is refused, and what exists is put in by the names of fields and parameters.
"""

import atexit
import collections
import json
import os
import re
import subprocess
import uuid
import zlib

import requests
import schemathesis
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData
from schemathesis.wfc.escalation import EscalatingAuthProvider

from harness import PASSWORD

IDENTITY = os.environ["FUZZ_IDENTITY"]
URL = os.environ["FUZZ_URL"]
BINARY = os.environ["FUZZ_BINARY"]
TALLY = os.environ["FUZZ_TALLY"]


class Account:
    """A user of the service, and schemathesis's way to sign in as that user."""

    def __init__(self, role):
        self.role = role
        self.session = requests.Session()
        self.renew()

    def renew(self):
        """Another user, for what has become of this one is not worth finding out."""
        self.email = f"{uuid.uuid4().hex}@example.org"
        create = [BINARY, "users", "create", "--name", "Ada Stone", "--email", self.email, "--role", self.role]
        subprocess.run([*create, "--password-stdin"], input=PASSWORD, text=True, check=True, capture_output=True)
        self.token = self.log_in()["access_token"]
        self.id = self.ask("/users/me").json()["id"]

    def log_in(self):
        credentials = {"email": self.email, "password": PASSWORD}
        answer = self.session.post(f"{URL}/auth/login", json=credentials)
        answer.raise_for_status()
        return answer.json()

    def ask(self, path):
        return self.session.get(f"{URL}{path}", headers={"Authorization": f"Bearer {self.token}"})

    def alive(self):
        """Whoever may have done away with the user, there is one."""
        if self.ask("/users/me").status_code != 200:
            self.renew()
        return self

    def refused(self, token):
        """Tells that a request with this token was answered 401."""
        if token == f"Bearer {self.token}":
            self.renew()

    def get(self, _case, _context):
        return self.token

    def set(self, case, token, _context):
        case.headers["Authorization"] = f"Bearer {token}"


OWN = Account("admin" if IDENTITY == "administrator" else "user")
OTHER = Account("user")
tally = collections.Counter()


@schemathesis.hook
def after_load_schema(_context, schema):
    """Signs in; two users must not see each other's objects."""
    if IDENTITY == "anonymous":
        return
    peers = (IDENTITY, "somebody else") if IDENTITY == "user" else ()
    names = [IDENTITY, "somebody else"]
    provider = EscalatingAuthProvider([OWN, OTHER], names, peers=peers, pinned=IDENTITY)
    schema.auth.providers.append(provider)


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Puts what exists in the place of what was made up, in most valid requests."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # In a chain of requests each takes its ids from the one before.
    if case.meta.phase.name is not TestPhase.STATEFUL:
        for name, value in (case.path_parameters or {}).items():
            case.path_parameters[name] = existing(name, value, case.path)
    for parameter in case.operation.headers:
        if parameter.name in case.headers:
            case.headers[parameter.name] = header(parameter, case.headers[parameter.name])
    if isinstance(case.body, dict) and chance(case.body) < 3:
        case.body = {**case.body, **known_fields(case.body)}


def existing(parameter, made_up, path):
    """A value for a parameter of the path: for what lies below a list, something that is listed."""
    which = chance(made_up)
    if which == 0:
        return made_up
    if parameter == "user_id":
        return (OTHER.alive() if which == 1 else OWN).id
    listed = OWN.ask(path.split(f"/{{{parameter}}}")[0])
    items = listed.json().get("items") if listed.status_code == 200 else None
    return items[-1]["id"] if items else made_up


def header(parameter, value):
    """A value that the schema allows: where boundaries are tried, schemathesis puts only letters and digits into
    headers. A version that a user has is hard to guess; any will do."""
    schema = parameter.definition["schema"]
    if "pattern" in schema and not re.search(schema["pattern"], value):
        # A tag, and a key as well.
        value = '"7"'
    return "*" if parameter.name == "If-Match" and chance(value) < 3 else value


def known_fields(body):
    """What only works when it is true."""
    if "refresh_token" in body:
        return {"refresh_token": OWN.log_in()["refresh_token"]}
    if "current_password" in body:
        return {"current_password": PASSWORD}
    if set(body) == {"email", "password"}:
        return {"email": OWN.email, "password": PASSWORD}
    return {}


def chance(value):
    """0 to 3, the same whenever a case is repeated."""
    return zlib.crc32(repr(value).encode()) % 4


@schemathesis.hook
def after_call(_context, case, response):
    """Counts, and learns what has become of the account."""
    # Other methods than the operation's own are tried as well.
    tally[f"{response.request.method} {case.operation.path}", response.status_code] += 1
    sent = response.request.headers.get("Authorization")
    if response.status_code == 401:
        OWN.refused(sent)
    elif response.status_code == 200 and f'"{OWN.id}"'.encode() in response.content[:64]:
        OWN.email = response.json()["email"]


# What a schema cannot tell: the state that a valid request meets.
UNACCEPTABLE = {"/password", "/new_password", "/current_password"}


@schemathesis.hook
def filter_failure(_context, failure, _case, response):
    """Valid requests may be refused for a password that is wrong, too common or too personal, and for a key that
    came with another request. Whoever registers somebody else does not see them, unless as an administrator.
    Nothing else is excused."""
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:
        problem = response.json()
        pointers = {error["pointer"] for error in problem.get("errors", [])}
        excused = pointers and pointers <= UNACCEPTABLE
        return not (excused or problem["type"] == "/problems/idempotency-key-reused")
    return not (isinstance(failure, EnsureResourceAvailability) and IDENTITY != "administrator")


@atexit.register
def write_tally():
    rows = [[label, status, count] for (label, status), count in sorted(tally.items())]
    with open(TALLY, "w") as file:
        json.dump(rows, file)
