"""Cron expressions: what is wrong in one and where, what one means in English, and what may surprise in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microflow.errors import ScheduleError
from microflow.model.cron_notes import cron_notes
from microflow.model.schedules import Schedule, cron_mistake, describe, next_ticks

START = datetime(2026, 1, 1, tzinfo=UTC)


def steadily(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *",
        "*/10 * * * *",
        "0 8 * * MON-FRI",
        "0 0 1,15 JAN,jul *",
        "5-55/10 0 L * *",
        "0 0 * * 5#2",
        "0 0 * * 5L",
        "0 0 LW * *",
        "0 0 29 2 *",
        "0 0 * 2 MON#5",
        "0 0 * * FRIL,friL",
        "0 12 * * SAT-SUN",
        "0 12 * * 1-SUN/2",
        "*/60 */24 */31 */12 */7",
        "5/60 5/24 * * *",
        "5-5 * * * *",
        "  0\t8 * * 7 ",
        "@daily",
        "@Hourly",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
        "@midnight",
    ],
)
def test_valid_expressions_have_no_mistake(cron: str) -> None:
    assert cron_mistake(cron) is None
    assert Schedule(cron).mistake is None
    assert next_ticks(cron, UTC, START, 1)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("61 * * * *", "field 1 (minute), column 1: '61' is not allowed here; allowed are 0 to 59"),
        ("* 1,25 * * *", "field 2 (hour), column 5: '25'"),
        ("* 1,, * * *", "field 2 (hour), column 5: '' lacks a value"),
        ("  * * 0 * *", "field 3 (day of month), column 7: '0'"),
        ("* * * JANUARY *", "field 4 (month), column 7: 'JANUARY'"),
        ("0 8 * * MON-FRY", "field 5 (day of week), column 13: 'FRY'"),
        ("0 8 * * SAT-MON", "column 9: 'SAT-MON' is a range that ends before it starts; write 'SAT-SUN,MON'."),
        ("0 8 * * fri-tue", "write 'fri-SUN,MON-tue'."),
        ("0 8 * * 5-1", "write '5-7,1'."),
        ("0 8 * * 5-0", "write '5-7'."),
        ("0 22-2 * * *", "column 3: '22-2' is a range that ends before it starts; write '22-23,0-2'."),
        ("0 8 * DEC-FEB *", "write 'DEC,JAN-FEB'."),
        ("0 22-4/2 * * *", "write it as two, separated by a comma."),
        ("*/0 * * * *", "column 3: '0' is no step"),
        ("1/x * * * *", "column 3: 'x' is no step"),
        ("0 0 ? * *", "column 5: '?' is not known to crontab; write '*'"),
        ("0 0 30 2 *", "field 3 (day of month), column 5: no day ever matches day '30', month '2'"),
        ("0 0 31 4,6 *", "no day ever matches"),
        ("0 0 */8 2 MON#5", "no day ever matches"),
        ("* * * *", "has 4 fields; it must have five: minute, hour"),
        ("0 0 8 * * *", "has six fields; seconds (and years) are not supported. Leave out the seconds"),
        ("0 8 * * * 2026", "Leave out the year '2026' and give five"),
        ("1 2 3 4 5 6 7", "has 7 fields; seconds and years are not supported. Give five"),
        ("run it at five in the morning", "has 7 fields; it must have five"),
        ("", "is empty"),
        ("   ", "is empty"),
        ("@reboot", "a server's start is not a tick"),
        ("@dayly", "is no known nickname; known are @hourly"),
        ("@reboot /bin/x", "a server's start is not a tick"),
        ("@daily /bin/x", "has more than the nickname '@daily'; leave the command out"),
        ("@every 5m", "has a period that is not supported; write it as a step, such as '*/5 * * * *'"),
        ("@quarterly", "write '0 0 1 */3 *'."),
        ("@dayly x", "starts with '@dayly', which is no known nickname"),
        ("daily", "did you mean '@daily'?"),
        ("9" * 5000, "5,000 characters"),
        ("9" * 900 + " * * * *", "is not allowed here"),
        ("٣ * * * *", "'٣' is not allowed here"),
        # a range of one value with a step, which cronsim takes for one that goes to the end of its field
        (
            "0-0/5 * * * *",
            "field 1 (minute), column 1: '0-0/5' is a range of one value, so its step adds nothing; write '0'.",
        ),
        ("0 3-3/2 * * *", "field 2 (hour), column 3: '3-3/2' is a range of one value"),
        ("0 0 1-1/7 * *", "field 3 (day of month), column 5: '1-1/7' is a range of one value"),
        ("0 0 * mar-MAR/2 *", "write 'mar'."),
        ("0 0 * 3-MAR/1 *", "write '3'."),
        ("0 0 * * sun-sun/2", "write 'sun'."),
        ("0 0 * * 7-SUN/2", "write '7'."),
        ("1,7-7/2,9 * * * *", "column 3: '7-7/2' is a range of one value, so its step adds nothing; write '7'."),
        # a step without room
        ("50/15 * * * *", "'50/15' has a step that leads beyond 59, so that only 50 is left; write '50'."),
        ("0-10/20 * * * *", "'0-10/20' has a step that leads beyond 10, so that only 0 is left; write '0'."),
        ("0-59/60 * * * *", "only 0 is left"),
        ("0 0 * * sat/2", "only sat is left"),
        (
            "*/90 * * * *",
            "'*/90' minutes is every hour; a cron expression can't say every 90 minutes. Write '0' for every hour",
        ),
        ("5/90 * * * *", "Write '5' for every hour, or a step up to 60."),
        ("*/120 * * * *", "can't say every 120 minutes. Write '0 */2' as minute and hour."),
        ("*/1440 * * * *", "Write '0 0' as minute and hour."),
        ("0 */36 * * *", "'*/36' hours is every day; a cron expression can't say every 36 hours"),
        ("0 0 */45 * *", "'*/45' days is every month; a cron expression can't say every 45 days. Write '1'"),
        ("0 0 1 */13 *", "'*/13' months is every year; a cron expression can't say every 13 months"),
        ("0 0 * * */8", "'*/8' days of the week is every week"),
        # what others add to crontab
        ("0 0 L/2 * *", "column 5: 'L/2' has a step, which means nothing after 'L'; write 'L'."),
        ("0 0 1,LW/5 * *", "column 7: 'LW/5' has a step, which means nothing after 'LW'; write 'LW'."),
        ("0 0 * * 5L/2", "'5L/2' has a step, which means nothing after '5L'"),
        ("0 0 * * fri#2/2", "'fri#2/2' has a step, which means nothing after 'fri#2'"),
        ("0 0 L-2 * *", "'L-2' is not supported: days can't be counted from the end of a month. Write 'L'"),
        ("0 0 15W * *", "'15W' is not supported: only LW is"),
        ("0 0 * * 5#L", "'5#L' is not supported; write '5L'"),
        ("0 0 * * FRI#6", "'FRI#6' is not allowed here; allowed before # is one day of the week, and after it 1 to 5"),
        ("0 0 * * 1-5#2", "allowed before # is one day of the week"),
        ("0 0 * * L", "'L' lacks a day; write '5L'"),
        ("0~59 * * * *", "'0~59' is not supported: a tick is never at a random time"),
        ("H/15 * * * *", "'H/15' is not supported: a tick is never at a random time"),
        # lines of a crontab
        (
            "CRON_TZ=Asia/Tokyo 0 8 * * *",
            "starts with 'CRON_TZ=Asia/Tokyo'; a zone is not part of it: use timezone=, as in "
            "Schedule('0 8 * * *', timezone='Asia/Tokyo').",
        ),
        ("TZ=UTC @daily", "use timezone=, as in Schedule('@daily', timezone='UTC')."),
        ("TZ=", "use timezone="),
        ("MAILTO=root", "starts with 'MAILTO=root', a line of a crontab that is not an expression; leave it out."),
        ("0 5 * * * /usr/bin/backup.sh", "has '/usr/bin/backup.sh' after its five fields; leave the command out"),
        ("0 5 * * * root backup 1", "has 'root backup 1' after its five fields; leave the command out"),
    ],
)
def test_a_bad_expression_is_told_with_its_place(cron: str, said: str) -> None:
    mistake = cron_mistake(cron)
    assert mistake is not None
    assert said in mistake
    assert Schedule(cron).mistake == mistake  # reported, not raised
    with pytest.raises(ScheduleError, match="cron expression"):
        next_ticks(cron, UTC, START, 1)


def test_all_that_is_wrong_in_an_expression_is_told_at_once() -> None:
    mistake = cron_mistake("61,5,70 25 32 13/0 FRY") or ""
    assert [int(column) for column in re.findall(r"column (\d+):", mistake)] == [1, 6, 9, 12, 18, 20]
    assert (cron_mistake(",".join(["60"] * 300) + " * * * *") or "").count("column") == 10


@steadily(300)
@given(st.text(alphabet="0123456789*/-,L#W @MONJAN?x=~H", max_size=24))
def test_any_text_is_valid_or_has_a_mistake(cron: str) -> None:
    mistake = cron_mistake(cron)
    if mistake is None:
        assert len(next_ticks(cron, UTC, START, 1)) == 1
        assert all(cron_notes(cron))
    else:
        assert describe(cron) == cron


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("* * * * *", "every minute"),
        ("*/10 * * * *", "every 10 minutes"),
        ("10 * * * *", "at minute 10 of every hour"),
        ("0,30 * * * *", "at minutes 0 and 30 of every hour"),
        ("0 * * * *", "every hour"),
        ("@hourly", "every hour"),
        ("0 */6 * * *", "every 6 hours"),
        ("15 */2 * * *", "at minute 15 of every 2nd hour"),
        ("0 8 * * *", "every day at 08:00"),
        ("0 8,20 * * MON-FRI", "Monday to Friday at 08:00 and 20:00"),
        ("30 9 * * 0,6,7", "every Saturday and Sunday at 09:30"),
        ("0 0 * * 0-6", "every day at 00:00"),
        ("@weekly", "every Sunday at 00:00"),
        ("@monthly", "on day 1 of every month at 00:00"),
        ("0 6 1,15 * *", "on days 1 and 15 of every month at 06:00"),
        ("0 0 L * *", "on the last day of every month at 00:00"),
        ("@yearly", "every year on 1 January at 00:00"),
        ("0 8 * jun-aug *", "every day from June to August at 08:00"),
        ("0 8 * 1,7 MON", "every Monday in January and July at 08:00"),
        ("*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:59, Monday to Friday"),
        ("30 9-17 * * *", "every hour from 09:30 to 17:30"),
        # uneven steps
        ("*/40 * * * *", "at minutes 0 and 40 of every hour"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("1-59/2 3 * * *", "at minutes 1, 3, 5 and so on to 59 from 03:00 to 03:59"),
        ("5/15 * * * *", "at minutes 5, 20, 35 and 50 of every hour"),
        ("0 */5 * * *", "every day at 00:00, 05:00, 10:00, 15:00 and 20:00"),
        ("*/10 */5 * * *", "every 10 minutes of the hours 0, 5, 10, 15 and 20"),
        ("0 0 */2 * *", "on days 1, 3, 5 and so on to 31 of every month at 00:00"),
        ("0 0 1 */3 *", "every year on 1 January, 1 April, 1 July and 1 October at 00:00"),
        ("0 0 * * */2", "every Tuesday, Thursday, Saturday and Sunday at 00:00"),
        # even ones, however they are written
        ("*/60 * * * *", "every hour"),
        ("0-59/15 0-23 * * *", "every 15 minutes"),
        ("0 */24 * * *", "every day at 00:00"),
        # both days
        ("0 0 13 * FRI", "on day 13 of every month and also every Friday, at 00:00"),
        ("0 0 */2 * 1", "on days 1, 3, 5 and so on to 31 of every month, if it is a Monday, at 00:00"),
        ("0 8 1-7 * */7", "on days 1 to 7 of every month, if it is a Sunday, at 08:00"),
        ("0 0 1 * 0-6", "every day at 00:00"),
        ("0 0 1 1 MON", "every year on 1 January and also every Monday in January, at 00:00"),
        # days counted within a month
        ("0 0 * * 5#2", "on the second Friday of every month at 00:00"),
        ("0 0 * 2 MON#5", "on the fifth Monday (if there is one) of February at 00:00"),
        ("0 0 * * FRIL", "on the last Friday of every month at 00:00"),
        ("0 0 * * MON,FRI#1", "every Monday and on the first Friday of every month at 00:00"),
        ("0 0 LW 1-6 *", "on the last weekday (Monday to Friday) of every month from January to June at 00:00"),
        ("0 0 15,L * *", "on day 15 and the last day of every month at 00:00"),
        # days that not every month has
        ("0 0 31 * *", "on day 31 of every month that has it, at 00:00"),
        ("0 0 30 2,4 *", "every year on 30 April at 00:00"),
        ("0 0 29 2 *", "on 29 February (in leap years) at 00:00"),
        ("0 0 29,30 2,4 *", "on days 29 and 30 (where they exist) of February and April at 00:00"),
        # lists and ranges
        ("0 12 * * SAT-SUN", "every Saturday and Sunday at 12:00"),
        ("0 12 * * MON-SUN", "every day at 12:00"),
        ("0 12 * * SUN-THU", "Sunday to Thursday at 12:00"),
        ("0-10,20 * * * *", "at minutes 0 to 10 and 20 of every hour"),
        ("30,45 8-17 * * *", "at minutes 30 and 45 of every hour from 08:00 to 17:59"),
        ("*/5 8,20 * * *", "every 5 minutes from 08:00 to 08:59 and from 20:00 to 20:59"),
        ("nonsense", "nonsense"),  # not valid: the expression itself
    ],
)
def test_descriptions(cron: str, said: str) -> None:
    assert describe(cron) == said


@pytest.mark.parametrize(
    ("cron", "noted"),
    [
        ("0 0 1 * MON", ["either is enough; APScheduler, Celery and Huey mean both."]),
        ("0 0 1 * */7", ["both must match, since one starts with '*'; croniter (Airflow) and Kubernetes mean either."]),
        (
            "*/40 * * * *",
            ["minute '*/40' is 0 and 40 of every hour, where it starts over, since 40 does not divide 60."],
        ),
        (
            "5/25 * * * *",
            ["is 5, 30 and 55 of every hour", "refused by Debian's cron and by cronie; '5-59/25' means the same"],
        ),
        ("0 0-23/5 * * *", ["is 0, 5, 10, 15 and 20 of every day"]),
        ("0 0 */10 * *", ["is 1, 11, 21 and 31 of every month, where it starts over, since months differ in length."]),
        ("0 0 1 */5 *", ["is January, June and November of every year"]),
        ("0 0 * * */2", ["is Tuesday, Thursday, Saturday and Sunday of every week"]),
        ("0 0 * * 5#2", ["is every Friday in Debian's cron, which ignores the rest; cronie refuses it."]),
        ("0 0 L * *", ["'L' is refused by Debian's cron"]),
        ("0 0 * * 1,5L", ["'5L' is refused by Debian's cron"]),
        ("0 0 * * SAT-SUN", ["never matches in Debian's cron, where SUN is 0; '6-7' means the same in both."]),
        ("0 0 30 2,4 *", ["February never has the day 30, so no tick falls there."]),
        ("0 0 31 2 MON", ["either is enough", "February never has the day 31"]),
        *(
            (cron, [])
            for cron in ("*/10 * * * *", "*/60 * * * *", "0 8 * * MON-FRI", "@weekly", "9-59/25 8-17/3 * * *")
        ),
    ],
)
def test_what_may_surprise_is_noted(cron: str, noted: list[str]) -> None:
    found = cron_notes(cron)
    assert len(found) == len(noted), found
    assert all(words in note for words, note in zip(noted, found, strict=True))
