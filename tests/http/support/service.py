"""`colloquy serve` as a process of a test's own: a folder of its own, ports that are free, an end by its own id."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("COLLOQUY_SOURCE_DIR") or Path(__file__).resolve().parents[3])
PROGRAM = os.environ.get("COLLOQUY_PROGRAM") or str(SOURCE_DIR / "build/release/colloquy")

START_LIMIT_S = 40
STOP_LIMIT_S = 30
SERVING = re.compile(r"serving (.*), database ")
ADDRESS = re.compile(r"(https?)://(\[[^\]]+\]|[^:/,\s]+):(\d+)")


def eventually(question, limit_s=10.0, what="what was waited for", pause_s=0.02):
    """The first answer of question() that is true; asked again and again until limit_s is over."""
    until = time.monotonic() + limit_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come within {limit_s} s; last: {answer!r}")
        time.sleep(pause_s)


class Service:
    """One data folder, and the program on it: may be started, ended and started again.

    settings: names of the configuration, as {"access_log": "true"}; they may be changed between two starts.
    """

    def __init__(self, settings=None, listen="127.0.0.1:0", arguments=()):
        self.folder = Path(tempfile.mkdtemp(prefix="colloquy-http-", dir="/tmp"))
        self.data_dir = self.folder / "data"
        self.settings = dict(settings or {})
        self.listen = listen
        self.arguments = list(arguments)
        self.scheme = "http"
        self.host = None
        self.port = None
        self.unix_path = None
        self.process = None
        self.lines = []
        self.documents = {}  # what clients keep of it: openapi

    def environment(self):
        """Nothing of what surrounds the tests is a setting of the service."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG", "ASAN_OPTIONS") if name in os.environ}
        return {"HOME": str(self.folder), **kept}

    def launch(self, *more):
        """Starts it and waits for nothing."""
        config = self.folder / "colloquy.conf"
        config.write_text("".join(f'{name} = "{value}"\n' for name, value in self.settings.items()))
        self.lines = []
        command = [PROGRAM, "serve", "--config", str(config), "--data-dir", str(self.data_dir),
                   "--listen", self.listen, *self.arguments, *more]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, cwd=self.folder, env=self.environment())
        reader = threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True)
        reader.start()
        self._reader = reader
        return self

    def start(self, *more):
        """Starts it and waits until it serves."""
        self.launch(*more)
        line = self.wait_for_log(SERVING, START_LIMIT_S)
        for each in list(self.lines):
            if SERVING.search(each):
                line = each
                found = ADDRESS.search(each)
                if found:
                    self.scheme, self.host, self.port = found.group(1), found.group(2).strip("[]"), int(found.group(3))
        return self

    @staticmethod
    def _read(process, lines):
        for line in process.stderr:
            lines.append(line.decode("utf-8", "replace").rstrip("\n"))
        process.stderr.close()

    def wait_for_log(self, pattern, limit_s=10):
        """The first line of its log that has the pattern in it, from the last start on."""
        wanted = re.compile(pattern)

        def look():
            for line in list(self.lines):
                if wanted.search(line):
                    return line
            if self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"it ended with {self.process.returncode}:\n" + self.log())
            return None
        return eventually(look, limit_s, f"a line with {wanted.pattern!r}")

    def log(self):
        return "\n".join(self.lines)

    @property
    def url(self):
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def admin_key(self):
        return self.settings.get("admin_key") or (self.data_dir / "admin.key").read_text().strip()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit_s=STOP_LIMIT_S):
        """Its exit code; negative: the signal that ended it."""
        code = self.process.wait(limit_s)
        self._reader.join(5)
        return code

    def stop(self, limit_s=STOP_LIMIT_S):
        """As an operator ends it; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(limit_s)

    def kill(self):
        """As the machine's fault would: the program alone. Its database server ends by itself, or is ended later."""
        self.process.kill()
        return self.wait()

    def restart(self):
        code = self.stop()
        assert code == 0, f"it ended with {code}:\n" + self.log()
        return self.start()

    def close(self):
        """Ended whatever it does, and its folder gone."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        self._end_server()
        shutil.rmtree(self.folder, ignore_errors=True)

    def server_pid(self):
        """The embedded PostgreSQL's own process id; None if none runs."""
        try:
            pid = int((self.data_dir / "postgres/postmaster.pid").read_text().split("\n")[0])
            os.kill(pid, 0)
            return pid
        except (OSError, ValueError):
            return None

    def _end_server(self):
        """One that is left behind by a service that was killed."""
        pid = self.server_pid()
        if pid is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT):
            try:
                os.kill(pid, number)
                eventually(lambda: self.server_pid() is None, 10, "the end of PostgreSQL")
                return
            except (OSError, AssertionError):
                continue

    def psql(self, sql):
        """Rows as lists of texts, asked as the owner of the embedded server, whatever row level security says."""
        command = ["psql", "-h", str(self.data_dir / "postgres/socket"), "-U", "postgres", "-d", "colloquy", "-X", "-q",
                   "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]


def run_program(*arguments, environment=None, limit_s=30):
    """One run of the program that ends by itself: exit code, standard output, standard error."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=limit_s, check=False,
                          env=environment or {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, cwd="/tmp")
    return done.returncode, done.stdout, done.stderr
