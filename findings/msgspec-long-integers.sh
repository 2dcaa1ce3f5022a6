#!/usr/bin/env bash
# msgspec 0.22.0: with Python's limit on long integers lifted, msgspec encodes whole numbers that it refuses to decode.
#
# Python refuses to convert integers of more than 4,300 digits unless sys.set_int_max_str_digits says otherwise. The guess: msgspec
# either follows that setting both ways, like the json module, or ignores it both ways, so that what it has encoded it can decode. It
# follows the setting when it encodes, and has a fixed limit of 4,300 characters, the sign included, when it decodes. So a program that
# lifts the limit can store a payload that nobody reads back, and a negative number reaches the limit one digit earlier than a positive.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "msgspec==0.22.0"

cat >"$folder/integers.py" <<'PYTHON'
import json
import sys

import msgspec

sys.set_int_max_str_digits(0)


def comes_back(number, encode, decode):
    try:
        return decode(encode(number)) == number
    except (ValueError, msgspec.MsgspecError) as error:
        return f"{type(error).__name__} when it is decoded"


for sign, digits in ((1, 4300), (-1, 4299), (-1, 4300), (1, 4301)):
    number = sign * (10 ** (digits - 1))
    name = f"{'-' if sign < 0 else ''}{digits} digits"
    print(f"{name}: json {comes_back(number, json.dumps, json.loads)}, msgspec", end=" ")
    print(comes_back(number, msgspec.json.encode, msgspec.json.decode))
PYTHON

"$folder/venv/bin/python" "$folder/integers.py" | tee "$folder/seen.txt"

diff "$folder/seen.txt" - <<'SEEN'
4300 digits: json True, msgspec True
-4299 digits: json True, msgspec True
-4300 digits: json True, msgspec ValidationError when it is decoded
4301 digits: json True, msgspec ValidationError when it is decoded
SEEN
