#!/usr/bin/env bash
# cloudpickle 3.1.2: a helper of __main__ that lru_cache wraps goes by name, so its caller loads nowhere else.
#
# cloudpickle sends functions of __main__ by value, with everything that they refer to. The guess from that: whatever cloudpickle.dumps
# accepts from a script can be loaded in another process. It fails for a function that calls a helper decorated with
# functools.lru_cache: the wrapper is an object written in C, which pickle stores as a reference "__main__.helper". dumps raises
# nothing. loads raises AttributeError in the receiver, which has a __main__ of its own. A plain helper arrives.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "cloudpickle==3.1.2"

cat >"$folder/send.py" <<'PYTHON'
import sys
from functools import lru_cache

import cloudpickle


def plain(number):
    return number + 1


@lru_cache
def cached(number):
    return number + 1


def calls_plain(number):
    return plain(number)


def calls_cached(number):
    return cached(number)


sys.stdout.buffer.write(cloudpickle.dumps({"plain": calls_plain, "cached": calls_cached}[sys.argv[1]]))
PYTHON

cat >"$folder/receive.py" <<'PYTHON'
import sys

import cloudpickle

try:
    print("loaded, and returned", cloudpickle.loads(sys.stdin.buffer.read())(1))
except AttributeError as error:
    print("AttributeError:", str(error).split(" on ")[0])
PYTHON

for kind in plain cached; do
    "$folder/venv/bin/python" "$folder/send.py" $kind >"$folder/$kind.pickle"
    echo "$kind: dumps wrote $(wc -c <"$folder/$kind.pickle" | tr -d ' ') bytes"
    "$folder/venv/bin/python" "$folder/receive.py" <"$folder/$kind.pickle" | tee "$folder/$kind.txt"
done

grep -qx "loaded, and returned 2" "$folder/plain.txt"
grep -qx "AttributeError: Can't get attribute 'cached'" "$folder/cached.txt"
