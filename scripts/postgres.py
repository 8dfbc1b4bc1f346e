"""A database of the check's own in the PostgreSQL server of this machine, removed at the end."""

import contextlib
import secrets
import subprocess

from harness import Failed, need

SERVER = "postgres://postgres@127.0.0.1:5432"
WITHIN = 60.0


class Scratch:
    def __init__(self, name):
        self.name, self.url = name, f"{SERVER}/{name}"

    def rows(self, statement):
        """What a statement gives, as lists of texts."""
        return [line.split("\t") for line in psql(self.url, statement).splitlines()]


@contextlib.contextmanager
def scratch_database(purpose):
    scratch = Scratch(f"belvedere_{purpose}_{secrets.token_hex(4)}")
    psql(f"{SERVER}/postgres", f"CREATE DATABASE {scratch.name}")
    try:
        yield scratch
    finally:
        psql(f"{SERVER}/postgres", f"DROP DATABASE IF EXISTS {scratch.name} WITH (FORCE)")


def psql(url, statement):
    program = need("psql", "postgresql-client")
    options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t"]
    command = [program, *options, "--set=ON_ERROR_STOP=1", f"--dbname={url}", f"--command={statement}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN)
    if done.returncode != 0:
        raise Failed(f"psql: {done.stderr}")
    return done.stdout
