"""What executions print, in a folder beside the store: one file each, appended as it happens, capped, read after an offset.

Offsets count the bytes that were printed. Of a log longer than ``cap`` the head and the tail are kept, at most half of
the cap each: the head in ``<id>.log``, the rest in rotating pieces ``<id>.<offset>.log`` of a quarter of the cap, of
which the newest two stay.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ...errors import StoreError
from ..logs import LOG_CAP
from ..rows import LogPart

_FOLDER_SIZE = 1000


def log_folder(store: Path) -> Path:
    """The folder of a store's logs, beside its file."""
    return store.with_name(store.name + ".logs")


class LogFile:
    """One execution's log, being written. The file is made with the first byte: a silent job leaves none.

    ``goes_on``: what was written before, by an engine that died, stays in front of it.
    """

    def __init__(self, base: Path, cap: int, goes_on: bool = False) -> None:
        self._base = base
        self._cap = cap
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._written = 0
        self._piece_end = 0
        self._pieces: list[Path] = []
        self._closed = False
        if goes_on and (pieces := _pieces(base)):
            self._go_on(pieces)

    def _go_on(self, pieces: list[Path]) -> None:
        last, self._pieces = pieces[-1], pieces[1:]
        self._written = _start(last) + last.stat().st_size
        self._piece_end = _start(last) + self._cap // (4 if self._pieces else 2)
        self._file = last.open("ab", buffering=0)

    def append(self, data: bytes) -> None:
        """Add what was printed. Raises ``StoreError`` if it can't be written (a full disk)."""
        with self._lock:
            if self._closed:
                return
            try:
                self._append(memoryview(data))
            except OSError as error:
                raise StoreError(str(error)) from error

    def _append(self, rest: memoryview) -> None:
        while rest:
            if self._file is None or self._written >= self._piece_end:
                self._next_piece()
            assert self._file is not None
            count = _up_to_whole_character(rest, self._piece_end - self._written)
            # without a buffer, so that it can be read at once and a full disk says so here, not when the file is closed
            written = self._file.write(rest[:count])
            self._written += written
            rest = rest[written:]

    def _next_piece(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._written == 0:
            self._base.parent.mkdir(parents=True, exist_ok=True)
            for stale in _pieces(self._base):  # of an execution of this number in a store that is gone
                stale.unlink()
            path, size = self._base, self._cap // 2
        else:
            path, size = self._base.with_suffix(f".{self._written}.log"), self._cap // 4
            self._pieces.append(path)
            while len(self._pieces) > 2:
                try:
                    self._pieces[0].unlink(missing_ok=True)
                except PermissionError:
                    break  # Windows deletes no file that somebody reads; the next piece tries again
                del self._pieces[0]
        self._file = path.open("wb", buffering=0)
        self._piece_end = self._written + size

    def close(self) -> None:
        """Add nothing after this. Raises ``StoreError`` if the system refuses to close the file."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                file, self._file = self._file, None
                try:
                    file.close()
                except OSError as error:
                    raise StoreError(str(error)) from error


class LogFiles:
    """The folder of all logs of a store."""

    def __init__(self, folder: Path, cap: int = LOG_CAP) -> None:
        self.folder = folder
        self._cap = cap

    def _base(self, execution_id: int) -> Path:
        return self.folder / f"{execution_id // _FOLDER_SIZE:04d}" / f"{execution_id}.log"

    def open(self, execution_id: int, *, goes_on: bool = False) -> LogFile:
        """A log to write to. ``goes_on``: behind what it holds, else from its start. Raises ``StoreError``."""
        try:
            return LogFile(self._base(execution_id), self._cap, goes_on)
        except OSError as error:
            raise StoreError(str(error)) from error

    def read(self, execution_id: int, after: int = 0, limit: int = 1024 * 1024) -> LogPart:
        """At most ``limit`` bytes of what was printed after the offset ``after``, as text.

        Where bytes were left out to keep within the cap, the part starts after them and ``left_out`` counts them. Raises
        ``StoreError`` where the system refuses.
        """
        with self._read():
            for path, start in [(piece, _start(piece)) for piece in _pieces(self._base(execution_id))]:
                try:
                    with path.open("rb") as file:
                        size = file.seek(0, 2)
                        if start + size <= after:
                            continue
                        begin = max(after, start)
                        file.seek(begin - start)
                        data = file.read(limit)
                except FileNotFoundError:
                    continue  # rotated away while this loop looked
                whole = _whole_characters(data)
                return LogPart(whole.decode("utf-8", "replace"), begin + len(whole), begin - after)
        return LogPart("", after, 0)

    def end(self, execution_id: int) -> int:
        """The offset after what was printed last: how many bytes were printed so far. Raises ``StoreError``."""
        with self._read():
            for piece in reversed(_pieces(self._base(execution_id))):
                with suppress(FileNotFoundError):  # rotated away while this loop looked
                    return _start(piece) + piece.stat().st_size
        return 0

    @contextmanager
    def _read(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"The log can't be read: {error.filename or self.folder}: {error.strerror}.") from error

    def delete(self, execution_ids: Iterable[int]) -> None:
        """Delete the logs of these executions, and folders that are empty then. Raises ``StoreError``."""
        try:
            self._delete(execution_ids)
        except OSError as error:
            raise StoreError(f"The logs of deleted executions can't be deleted: {error}.") from error

    def _delete(self, execution_ids: Iterable[int]) -> None:
        by_folder: dict[Path, set[str]] = {}
        for execution_id in execution_ids:
            base = self._base(execution_id)
            by_folder.setdefault(base.parent, set()).add(base.stem)
        for folder, stems in by_folder.items():
            if not folder.is_dir():
                continue
            kept = 0
            for path in folder.iterdir():  # looked through once for all: there may be a thousand
                if path.name.partition(".")[0] in stems:
                    path.unlink(missing_ok=True)
                else:
                    kept += 1
            if not kept:
                with suppress(OSError):  # a new log has just been made there
                    folder.rmdir()


def _pieces(base: Path) -> list[Path]:
    """The files of a log in the order of their offsets."""
    try:
        names = os.listdir(base.parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        (base.parent / name for name in names if name.startswith(f"{base.stem}.") and name.endswith("log")), key=_start
    )


def _start(piece: Path) -> int:
    middle = piece.name.split(".")[1]
    return int(middle) if middle.isdecimal() else 0


def _up_to_whole_character(data: memoryview, count: int) -> int:
    """``count`` bytes of the data, or a few more where that would cut a UTF-8 character in two."""
    end = min(count + 3, len(data))
    while count < end and data[count] & 0xC0 == 0x80:
        count += 1
    return min(count, len(data))


def _whole_characters(data: bytes) -> bytes:
    """The data without a UTF-8 character that is cut at its end: the next part begins with it."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if needed > back and len(data) > back else data
    return data
