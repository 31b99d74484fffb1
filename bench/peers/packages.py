"""A peer's packages from npm, in the build folder: nothing of them lies in the source tree."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Failure(Exception):
    pass


def install(peer, build_folder):
    """The folder in which the peer's files are beside its packages. Installs when the lock file is another one."""
    source, folder = HERE / peer, Path(build_folder).resolve() / "peers" / peer
    folder.mkdir(parents=True, exist_ok=True)
    installed = folder / "node_modules" / ".installed"
    lock = (source / "package-lock.json").read_text()
    for each in source.iterdir():
        if each.is_file():
            shutil.copy(each, folder / each.name)
    if not installed.is_file() or installed.read_text() != lock:
        done = subprocess.run(["npm", "ci", "--legacy-peer-deps", "--no-audit", "--no-fund"], cwd=folder,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"npm ci in {folder}: {done.stderr.strip()[-2000:]}")
        installed.write_text(lock)
    return folder
