#!/usr/bin/env bash
# croniter 7.0.0 and cronsim 2.8: a range of one value with a step does not stay in its range, and the two disagree on what it is.
#
# In a crontab "10-20/5" is 10, 15 and 20: the step walks through the range. The guess from that: "10-10/15" is minute 10 alone, since
# nothing else is in the range, as it is for Debian's cron, cronie, BusyBox and Kubernetes. cronsim takes it for "10/15": 10, 25, 40
# and 55. croniter takes it for "*/15": 0, 15, 30 and 45, without minute 10. In the day of the month, "1-1/7" runs five times a month
# instead of once in both. A range of two values is read rightly. APScheduler 3.11.3 refuses the expression, since the step is longer
# than the range.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "croniter==7.0.0" "cronsim==2.8" "apscheduler==3.11.3"

cat >"$folder/ranges.py" <<'PYTHON'
from datetime import datetime

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

START = datetime(2026, 1, 1)


def times(following):
    return " ".join(following().strftime("%d %H:%M") for _ in range(4))


for cron in ("10-10/15 * * * *", "10-11/15 * * * *", "0 0 1-1/7 * *"):
    steps, ticks = croniter(cron, START), CronSim(cron, START)
    print(f"{cron}: croniter {times(lambda: steps.get_next(datetime))}, cronsim {times(lambda: next(ticks))}")

try:
    CronTrigger.from_crontab("10-10/15 * * * *", timezone="UTC")
except ValueError as error:
    print("APScheduler:", str(error).rpartition(": ")[2])
PYTHON

"$folder/venv/bin/python" "$folder/ranges.py" | tee "$folder/seen.txt"

diff "$folder/seen.txt" - <<'SEEN'
10-10/15 * * * *: croniter 01 00:15 01 00:30 01 00:45 01 01:00, cronsim 01 00:10 01 00:25 01 00:40 01 00:55
10-11/15 * * * *: croniter 01 00:10 01 01:10 01 02:10 01 03:10, cronsim 01 00:10 01 01:10 01 02:10 01 03:10
0 0 1-1/7 * *: croniter 08 00:00 15 00:00 22 00:00 29 00:00, cronsim 08 00:00 15 00:00 22 00:00 29 00:00
APScheduler: the step value (15) is higher than the total range of the expression (0)
SEEN
