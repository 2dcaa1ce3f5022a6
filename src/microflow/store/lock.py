"""One server at a time on a store: a lock that the system lets go of whenever its process ends, however that happens."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import StoreLocked, StoreUnavailable


class ServerLock:
    """Held from ``take`` to ``release``. The file beside the store names the process, for the message of who comes second."""

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
            _lock(descriptor)
        except OSError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip("\0 \n") or "unknown"
            os.close(descriptor)
            raise StoreLocked(
                f"Another server (process {holder}) runs on this store, {self._path.with_suffix('')}. Stop it, let commands act "
                "on it with --server URL, or give this one another store with --store."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock; nothing happens if it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # far behind the number in the file, since Windows lets nobody read a locked range
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
