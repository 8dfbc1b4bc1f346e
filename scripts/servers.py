"""Database servers of a check's own, in a directory of its own, on a free loopback port, in no hurry to be safe.

What they hold does not outlive them, so nothing waits for a disk.
"""

import contextlib
import getpass
import glob
import os
import pathlib
import shutil
import signal
import subprocess

from harness import Failed, Process, eventually, free_port, need

STARTS_WITHIN = 60.0
# Tests that run side by side have some pools each.
CONNECTIONS = 500
# A server runs as nobody where the check runs as root, which both servers refuse to be.
USER = "nobody" if os.geteuid() == 0 else getpass.getuser()
AS_USER = {"user": USER, "group": "nogroup"} if os.geteuid() == 0 else {}


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Server(Process):
    """A database server; `prepare` makes its files, `command` starts it, `create` fills it."""

    def __init__(self, directory, name):
        self.home = pathlib.Path(directory) / name
        self.home.mkdir()
        if AS_USER:
            shutil.chown(self.home, USER, "nogroup")
        self.port = free_port()
        self.prepare()
        super().__init__(name, self.command(), directory, **AS_USER)
        try:
            eventually(f"{name} to answer", STARTS_WITHIN, self.answers, pause=0.3)
            self.create()
        except BaseException:
            self.__exit__()
            raise

    def kill(self):
        """In order, for a server that is killed leaves processes and memory behind."""
        self.signal(self.farewell)
        with contextlib.suppress(Failed):
            self.exit_code()
        super().kill()

    def create(self):
        """What it holds from the start."""

    def answers(self):
        self.expect_running()
        with contextlib.suppress(Failed):
            self.sql("SELECT 1")
            return True
        return False

    def run_as_user(self, *command):
        return run(*map(str, command), cwd=self.home, **AS_USER)


class PostgreSql(Server):
    """Its user `admin` needs no password."""

    farewell = signal.SIGINT

    def prepare(self):
        installed = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not installed:
            raise Failed("PostgreSQL is not installed (Debian package postgresql)")
        self.programs = pathlib.Path(installed[-1])
        self.data = self.home / "data"
        self.run_as_user(
            self.programs / "initdb", "-D", self.data, "-U", "admin", "-E", "UTF8", "--locale=C", "--no-sync"
        )

    def command(self, *more):
        options = [f"unix_socket_directories={self.home}", "listen_addresses=127.0.0.1"]
        options += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        options += [f"max_connections={CONNECTIONS}", *more]
        settings = [part for option in options for part in ("-c", option)]
        return [self.programs / "postgres", "-D", self.data, "-p", str(self.port), *settings]

    def sql(self, *statements):
        client = [self.programs / "psql", "-h", self.home, "-p", self.port, "-U", "admin", "-Atqc"]
        return "".join(self.run_as_user(*client, text, "postgres") for text in statements)

    @property
    def admin_url(self):
        return f"postgres://admin@127.0.0.1:{self.port}/postgres"


class MariaDb(Server):
    """Its user `root` needs no password."""

    farewell = signal.SIGTERM

    def prepare(self):
        self.data = self.home / "data"
        self.run_as_user(
            need("mariadb-install-db", "mariadb-server"),
            "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    def command(self, *more):
        options = [
            "--no-defaults", f"--datadir={self.data}", f"--socket={self.home}/socket",
            f"--pid-file={self.home}/pid", f"--port={self.port}", "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0", f"--max-connections={CONNECTIONS}", *more,
        ]
        return ["/usr/sbin/mariadbd", *options]

    def sql(self, *statements):
        client = [need("mariadb", "mariadb-client"), "--no-defaults", f"--socket={self.home}/socket", "-uroot", "-N"]
        return "".join(self.run_as_user(*client, "--execute", text) for text in statements)

    @property
    def admin_url(self):
        return f"mysql://root@127.0.0.1:{self.port}/mysql"
