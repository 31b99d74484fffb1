"""A PostgreSQL server of a test's own on TCP, and Debian's PgBouncer before it: to be stopped, and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .service import PROGRAM, eventually


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def program(name):
    folders = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True), "/usr/sbin", "/usr/bin"]
    return shutil.which(name, path=os.pathsep.join(folders + [os.environ.get("PATH", "")]))


def server_user():
    """Neither PostgreSQL nor PgBouncer runs as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


class Daemon:
    """A program in a folder of its own, ended by its own process id."""

    def __init__(self, name):
        self.folder = Path(tempfile.mkdtemp(prefix=f"colloquy-{name}-", dir="/tmp"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.port = free_port()
        self.process = None

    def launch(self, *command):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                                            **server_user())

        def answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        eventually(answers, 30, "an answer of " + command[0])

    def end(self, number=signal.SIGINT):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def close(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class Server(Daemon):
    """Migrated, with the login `service` for the program. With is_icu the text of its database is ordered as a language
    orders it; `settings` are PostgreSQL's own."""

    def __init__(self, is_icu=False, settings=None):
        super().__init__("postgres")
        self.database = "postgres"
        self.settings = dict(settings or {})
        self.data = self.folder / "data"
        made = subprocess.run([program("initdb"), "-D", str(self.data), "-A", "trust", "-U", "postgres", "-E", "UTF8",
                               "--no-sync"], capture_output=True, cwd=self.folder, check=False, **server_user())
        assert made.returncode == 0, made.stderr
        self.start()
        self.psql("CREATE ROLE service LOGIN")
        if is_icu:
            self.psql("CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'")
            self.database = "icu"
        done = subprocess.run([PROGRAM, "migrate", "--database", self.uri("postgres")], capture_output=True, text=True,
                              check=False, cwd=self.folder, env={"PATH": os.environ["PATH"], "HOME": str(self.folder)})
        assert done.returncode == 0, done.stderr
        self.psql("GRANT colloquy_service, colloquy_system TO service")

    def start(self):
        self.launch(program("postgres"), "-D", str(self.data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                    "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=60",
                    *[part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")])

        def takes_queries():
            try:
                return bool(self.psql("SELECT 1"))
            except AssertionError:
                return False
        eventually(takes_queries, 30, "PostgreSQL")

    def stop(self):
        """At once: every connection is cut."""
        self.end(signal.SIGINT)

    def uri(self, login="service", port=None):
        return f"postgresql://{login}@127.0.0.1:{port or self.port}/{self.database}?sslmode=disable"

    def psql(self, sql):
        done = subprocess.run(["psql", self.uri("postgres"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql],
                              capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise AssertionError("psql: " + done.stderr)
        return done.stdout.splitlines()


class Pooler(Daemon):
    """PgBouncer before a server."""

    def __init__(self, server, mode):
        super().__init__("pgbouncer")
        (self.folder / "users.txt").write_text('"service" ""\n')
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {self.folder}/users.txt\n"
            f"pool_mode = {mode}\ndefault_pool_size = 30\nignore_startup_parameters = extra_float_digits\n")
        self.launch(program("pgbouncer"), str(self.folder / "pgbouncer.ini"))
