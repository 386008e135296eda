"""Where the history lives on disk, and who may look into it. It knows folders and modes, not what is stored.

The folder is 0700 and every file in it 0600. SQLite gives `-wal` and `-shm` the mode of the
database, so creating that one file ourselves is enough; the process-wide umask stays untouched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from llmflow.errors import StoreError

DATABASE = "history.db"
GATE = "store.lock"
RUN_LOCKS = "locks"

MOUNTS = Path("/proc/self/mountinfo")
"""Linux alone has it; elsewhere a network file system is not noticed."""

NETWORKS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "lustre"})
"""File systems on which the shared memory of SQLite's write-ahead log cannot be relied on (sqlite.org/wal.html)."""

WAY_OUT = "name another folder with --store DIR or LLMFLOW_STORE"


def store_dir(explicit: str | None, environment: Mapping[str, str]) -> Path:
    """The folder of the history: `--store`, else LLMFLOW_STORE, else the user's state folder, else `.llmflow` here.

    The last one is for places without a home: HOME is missing, or nothing can be created below it.
    A home that holds a history already is kept even where it can only be read. Creates nothing.
    """
    chosen = explicit or environment.get("LLMFLOW_STORE")
    if chosen:
        return Path(chosen).expanduser()
    if os.name == "posix" and not environment.get("HOME"):
        return Path(".llmflow")
    import platformdirs

    home = Path(platformdirs.user_state_dir("llmflow"))
    return home if (home / DATABASE).exists() or _can_create(home) else Path(".llmflow")


def prepare(directory: Path) -> Path:
    """Create the folder (0700) and an empty database (0600) where they are missing; returns the database's path.

    Raises StoreError naming the path where that is impossible.
    """
    database = directory / DATABASE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"{error.filename or directory}: cannot be written: {error.strerror}\n  hint: {WAY_OUT}"
        ) from error
    return database


def refuse_foreign_links(directory: Path) -> None:
    """Raise StoreError where the folder or its database is a symbolic link owned by another user.

    In a shared folder such as /tmp anybody can plant one and have us write where they like.
    """
    if not hasattr(os, "geteuid"):
        return
    for path in (directory, directory / DATABASE):
        try:
            found = path.lstat()
        except OSError:
            continue
        if stat.S_ISLNK(found.st_mode) and found.st_uid != os.geteuid():
            raise StoreError(f"{path} is a symbolic link that belongs to another user: not followed\n  hint: {WAY_OUT}")


def warnings(directory: Path) -> list[str]:
    """A sentence where other users can read or write the store, and one where it lies on another machine."""
    database = directory / DATABASE
    found = []
    try:
        mode = stat.S_IMODE(database.stat().st_mode)
    except OSError:
        return []
    if os.name == "posix" and mode & 0o077:
        found.append(f"{database} can be read by other users (mode {mode:04o}); `chmod 600` closes it")
    if network := network_kind(directory):
        found.append(f"{directory} lies on a network file system ({network}): use it from one machine at a time")
    return found


def network_kind(directory: Path, mounts: Path = MOUNTS) -> str:
    """The kind of the network file system that `directory` lies on, empty where it is none or nobody can tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place, best, kind = str(directory.resolve()), "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ") if len(before.split()) > 4 else ""
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if point and inside and len(point) >= len(best):
            best, kind = point, after.split()[0] if after else ""
    return kind if kind in NETWORKS else ""


def _can_create(directory: Path) -> bool:
    """True where `directory`, or else its nearest parent that exists, is a folder we may write into."""
    for path in (directory, *directory.parents):
        if path.exists():
            return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
    return False
