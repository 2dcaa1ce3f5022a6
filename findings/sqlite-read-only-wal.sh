#!/usr/bin/env bash
# SQLite 3.54.1 (apsw 3.54.1.0): opening a write-ahead-log database read-only leaves two files, and "immutable" misses committed rows.
#
# The guess: a connection that is opened read-only changes nothing on disk; where even the log's files must not appear, immutable=1 is
# the same, only faster. Both halves fail for a database in WAL mode that nobody has open:
#  1. A read-only connection creates database-wal and database-shm beside the file, and they stay after it has been closed: only a
#     connection that may write removes them.
#  2. immutable=1 creates nothing, but it does not read the log at all. Rows that were committed, and that a process which ended
#     without closing its connection left in the log, are missing, without an error.
# What holds: read with immutable=1 only where there is no log with content beside the file.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "apsw==3.54.1.0"

cat >"$folder/look.py" <<'PYTHON'
import os
import subprocess
import sys
import tempfile

import apsw


def names(folder):
    return sorted(name.removeprefix("jobs.db") for name in os.listdir(folder))


def rows(path, query):
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{path}?{query}", flags=flags)
    found = [number for (number,) in connection.execute("SELECT number FROM jobs")]
    connection.close()
    return found


def write(path, number, ending):
    program = (
        "import apsw, os, sys\n"
        "connection = apsw.Connection(sys.argv[1])\n"
        "connection.execute('PRAGMA journal_mode = WAL')\n"
        "connection.execute('CREATE TABLE IF NOT EXISTS jobs (number)')\n"
        "connection.execute('INSERT INTO jobs VALUES (?)', (int(sys.argv[2]),))\n"
        "connection.close() if sys.argv[3] == 'in order' else os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, path, str(number), ending], check=True)


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "jobs.db")
    write(path, 1, "in order")
    print("closed in order:", names(folder))
    print("immutable=1 reads", rows(path, "immutable=1"), "and leaves", names(folder))
    print("read-only reads", rows(path, "mode=ro"), "and leaves", names(folder))
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "jobs.db")
    write(path, 1, "in order")
    write(path, 2, "without closing")
    print("after a writer that did not close: immutable=1 reads", rows(path, "immutable=1"), "and read-only reads", rows(path, "mode=ro"))
PYTHON

"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen.txt"

diff "$folder/seen.txt" - <<'SEEN'
closed in order: ['']
immutable=1 reads [1] and leaves ['']
read-only reads [1] and leaves ['', '-shm', '-wal']
after a writer that did not close: immutable=1 reads [1] and read-only reads [1, 2]
SEEN
