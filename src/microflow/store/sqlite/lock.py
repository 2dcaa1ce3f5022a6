"""One server at a time on a store: a lock that the system lets go of whenever its process ends, however that happens."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ...errors import StoreLocked, StoreUnavailable

_TRIES = 10
_PAUSE = 0.01
"""How often the lock is tried, and the seconds between: ``server_of`` in another process may hold it for a moment."""


class ServerLock:
    """Held from ``take`` to ``release``. The file beside the store names the process, for the message that a second one gets."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(store.name + ".lock")
        self._descriptor = -1

    def take(self) -> None:
        """Raise ``StoreLocked`` if another process has it, ``StoreUnavailable`` if the file can't be made."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreUnavailable(f"The store's lock file {self._path} can't be opened: {error}.") from error
        try:
            self._lock(descriptor)
        except OSError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreLocked(
                f"Another server (process {holder}) runs on this store, {self._path.with_suffix('')}. Stop it, let commands act "
                "on it with --server URL, or give this one another store with --store."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def _lock(self, descriptor: int) -> None:
        for _ in range(_TRIES - 1):
            try:
                _lock(descriptor)
                return
            except OSError:
                time.sleep(_PAUSE)
        _lock(descriptor)

    def release(self) -> None:
        """Let go of the lock; nothing happens if it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def server_of(store: Path) -> str | None:
    """The process of the server that runs on this store, as its lock file names it; None where there is none.

    This also sees a server in another container, whose process can't be seen from here.
    """
    try:
        descriptor = os.open(
            store.with_name(store.name + ".lock"), os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
        )
    except OSError:
        return None  # no server has ever run on it, or this user may not ask
    try:
        return _holder(descriptor) if _is_locked(descriptor) else None
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """The number of the process that the file names."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 32).decode("ascii", "replace").strip("\0 \n") or "unknown"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # far behind the number in the file, since Windows lets nobody read a locked range
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

    def _is_locked(descriptor: int) -> bool:
        try:
            _lock(descriptor)
        except OSError:
            return True
        return False  # closing the file lets go of it

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False  # closing the file lets go of it
