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
    """One sentence per file of the store that other users can read or write."""
    database = directory / DATABASE
    try:
        mode = stat.S_IMODE(database.stat().st_mode)
    except OSError:
        return []
    if os.name == "posix" and mode & 0o077:
        return [f"{database} can be read by other users (mode {mode:04o}); `chmod 600` closes it"]
    return []


def _can_create(directory: Path) -> bool:
    """True where `directory`, or else its nearest parent that exists, is a folder we may write into."""
    for path in (directory, *directory.parents):
        if path.exists():
            return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
    return False
