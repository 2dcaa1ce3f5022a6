"""Time partitions: the periods of a frequency in a time zone, from text to datetime and back.

A time partition is the aware ``datetime`` at which its period starts, in the zone of the partitions; as text it is cut
to its frequency (ISO 8601): ``2026-11-22T05:00+01:00``, ``2026-11-22``, ``2026-W47``, ``2026-11``, ``2026-Q4``,
``2026``. The text names the partition: two datetimes of one zone that the clock shows twice are equal to Python
(PEP 495), their texts are not. For the same reason take differences in UTC, or the day with 25 hours has 24.

A partition begins to exist when its period starts. Ranges end with the period that is running; a single partition may
be named ahead of its time, as a forecast needs it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import DefinitionError, PartitionError
from .frequencies import Frequency, count_hours, hour_start, hour_starts, hour_text, hour_texts, next_hour
from .zones import as_instant, day_start, resolve_zone, zone_mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

_FIRST_YEAR, _LAST_YEAR = 1000, 9998
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2}(:\d{2})?)?", re.ASCII)


class TimeAxis:
    """Time partitions in order: ``texts``, and ``starts`` (aware datetimes), made when they are first read."""

    __slots__ = ("_is_range", "_make_starts", "_starts", "_time", "texts")

    def __init__(
        self, time: TimePartitions, texts: list[str], make_starts: Callable[[], list[datetime]], *, is_range: bool
    ) -> None:
        self.texts = texts
        self._time = time
        self._make_starts = make_starts
        self._is_range = is_range
        self._starts: list[datetime] | None = None

    @property
    def starts(self) -> list[datetime]:
        """The starts of the periods, as long as ``texts``."""
        if self._starts is None:
            self._starts = self._make_starts()
        return self._starts

    def end(self, index: int) -> datetime:
        """The end of a period: where the next one starts."""
        if self._is_range and index + 1 < len(self.texts):
            return self.starts[index + 1]
        return self._time.end_of(self.starts[index])

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        ends = f" from {self.texts[0]} to {self.texts[-1]}" if self.texts else ""
        return f"<{len(self.texts)} time partitions{ends}>"


class TimePartitions:
    """The periods of a frequency: "hourly", "daily", "weekly", "monthly", "quarterly" or "yearly".

    ``start`` and ``end`` are the first and the last partition (text, ``date`` or ``datetime``), both included; without
    them the periods go on for ever. ``timezone`` is an IANA name; None means the flow's, else the machine's own. What
    is wrong in a definition is said by ``mistakes``; the other methods of such a one raise ``DefinitionError``.
    """

    __slots__ = ("_default_zone", "_zone", "end", "frequency", "start", "timezone")

    def __init__(
        self,
        frequency: Frequency | str,
        start: str | date | datetime | None = None,
        end: str | date | datetime | None = None,
        timezone: str | None = None,
    ) -> None:
        self.frequency = frequency
        self.start = start
        self.end = end
        self.timezone = timezone
        self._default_zone: str | tzinfo | None = None
        self._zone: tzinfo | None = None

    def with_default_zone(self, zone: str | tzinfo | None) -> TimePartitions:
        """The same periods in another zone, unless they have a ``timezone`` of their own."""
        copy = TimePartitions(self.frequency, self.start, self.end, self.timezone)
        copy._default_zone = zone
        return copy

    def mistakes(self) -> list[str]:
        """What is wrong with the definition, each as one sentence; but not with the flow's time zone, which the flow says once."""
        if not isinstance(self.frequency, str) or self.frequency not in list(Frequency):
            return [_frequency_mistake(self.frequency)]
        try:
            _ = self.zone
        except DefinitionError:
            own = None if self.timezone is None else zone_mistake(self.timezone)
            rest = TimePartitions(self.frequency, self.start, self.end, "UTC").mistakes()
            return [*([f"time_partitions: {own}"] if own else []), *rest]
        found, bounds = [], []
        for argument, given in (("start", self.start), ("end", self.end)):
            try:
                bounds.append(None if given is None else self.parse(given))
            except PartitionError as error:
                found.append(f"time_partitions: {argument} is {_shown(given)}: {error}")
        first, last = bounds if not found else (None, None)
        if first is not None and last is not None and first.astimezone(UTC) > last.astimezone(UTC):
            found.append(f"time_partitions: start is {self._text(first)}, after end, which is {self._text(last)}.")
        return found

    @property
    def zone(self) -> tzinfo:
        """The time zone of the periods. Raises ``DefinitionError`` for an unknown name."""
        if self._zone is None:
            self._zone = resolve_zone(self.timezone, self._default_zone)
        return self._zone

    @property
    def kind(self) -> Frequency:
        """The frequency. Raises ``DefinitionError`` for an unknown one."""
        try:
            return Frequency(self.frequency)
        except ValueError:
            raise DefinitionError(_frequency_mistake(self.frequency)) from None

    @property
    def first(self) -> datetime | None:
        """The first partition, if there is one. Raises ``PartitionError`` for a ``start`` that is none."""
        return None if self.start is None else self.parse(self.start)

    @property
    def last(self) -> datetime | None:
        """The last partition, if there is one. Raises ``PartitionError`` for an ``end`` that is none."""
        return None if self.end is None else self.parse(self.end)

    def parse(self, value: str | date | datetime) -> datetime:
        """The partition that is meant: the start of its period, in the zone.

        Text is a partition's own, or a full ISO 8601 date or date and time. Without an offset it is the time on the
        wall; a naive ``datetime`` too (its ``fold`` counts). Raises ``PartitionError`` if it is not the start of a
        period. ``start`` and ``end`` are not looked at here: see ``checked``.
        """
        try:
            return self._parse(value)
        except PartitionError as error:
            error.time_partition = value
            raise

    def _parse(self, value: str | date | datetime) -> datetime:
        # a datetime is a date as well, so it has to be asked first
        if isinstance(value, datetime):
            return self._parse_datetime(value, _shown(value))
        if isinstance(value, date):
            return self._parse_date(value)
        if isinstance(value, str):
            return self._parse_text(value)
        raise PartitionError(f"{value!r} is no time partition; give text such as {self.kind.example!r}, or a datetime.")

    def checked(self, value: str | date | datetime) -> datetime:
        """As ``parse``; raises ``PartitionError`` too for a partition before ``start`` or after ``end``."""
        found = self.parse(value)
        instant, first, last = found.astimezone(UTC), self.first, self.last
        if first is not None and instant < first.astimezone(UTC):
            message = f"{self._text(found)} is before the first partition, which is {self._text(first)}."
            raise PartitionError(message, time_partition=value)
        if last is not None and instant > last.astimezone(UTC):
            message = f"{self._text(found)} is after the last partition, which is {self._text(last)}."
            raise PartitionError(message, time_partition=value)
        return found

    def text(self, value: str | date | datetime) -> str:
        """How the partition is written; ``parse`` of that gives it again. Raises ``PartitionError`` for none."""
        return self._text(self.parse(value))

    def containing(self, moment: datetime) -> datetime:
        """The partition whose period contains an aware moment. Raises ``PartitionError`` outside the calendar."""
        instant = as_instant(moment)
        local = instant.astimezone(self.zone)
        _check_year(local.year, _shown(moment))
        if self.kind is Frequency.HOURLY:
            return hour_start(self.zone, instant).astimezone(self.zone)
        first = self.kind.first_day(local.date())
        # where a clock is put back just after midnight, the old day's last hour comes again within the new day
        following = self._start(self.kind.next_day(first))
        return following if following.astimezone(UTC) <= instant else self._start(first)

    def next(self, value: str | date | datetime) -> datetime:
        """The partition after this one, whatever ``end`` says. Raises ``PartitionError`` as ``parse`` does."""
        return self.end_of(self.parse(value))

    def end_of(self, start: datetime) -> datetime:
        """The start of the partition after the one that starts at ``start``, which has been checked."""
        if self.kind is Frequency.HOURLY:
            return next_hour(self.zone, start.astimezone(UTC)).astimezone(self.zone)
        return self._start(self.kind.next_day(self.kind.first_day(start.date())))

    def previous(self, value: str | date | datetime) -> datetime:
        """The partition before this one, whatever ``start`` says. Raises ``PartitionError`` as ``parse`` does."""
        return self.containing(self.parse(value).astimezone(UTC) - timedelta(microseconds=1))

    def window(self, value: str | date | datetime) -> tuple[datetime, datetime]:
        """Start and end of the partition's period; the end is the next one's start, and no longer part of it."""
        start = self.parse(value)
        return start, self.end_of(start)

    def range(self, first: str | date | datetime, last: str | date | datetime) -> list[datetime]:
        """The partitions from ``first`` to ``last``, both included; none if ``last`` is before ``first``."""
        return self._starts(self.parse(first), self.parse(last))

    def texts(self, first: str | date | datetime, last: str | date | datetime) -> list[str]:
        """The texts of ``range``, made without the datetimes."""
        low, high = self.parse(first), self.parse(last)
        if self.kind is Frequency.HOURLY:
            return hour_texts(self.zone, low, high)
        return [self.kind.text(day) for day in self._days(low, high)]

    def count(self, first: str | date | datetime, last: str | date | datetime) -> int:
        """How many partitions ``range`` would give."""
        low, high = self.parse(first), self.parse(last)
        if low.astimezone(UTC) > high.astimezone(UTC):
            return 0
        if self.kind is Frequency.HOURLY:
            return count_hours(self.zone, low, high)
        if self.kind is Frequency.DAILY:
            return sum(1 for _ in self._days(low, high))  # a zone may have left out a day
        return self.kind.periods(self.kind.first_day(low.date()), self.kind.first_day(high.date()))

    def axis(
        self,
        first: str | date | datetime | None,
        last: str | date | datetime | None,
        now: datetime,
        earliest: str | None = None,
    ) -> TimeAxis:
        """The partitions from ``first`` to ``last`` that exist at ``now``; the newest is the period that is running.

        Without ``first`` it begins at ``start``, without that at ``earliest`` (the earliest executed partition, as the
        store has it; one left over from another frequency is passed over), else at the period that is running.
        Raises ``PartitionError`` if ``first`` or ``last`` is no partition of these.
        """
        current = self.containing(now)
        begin = self.checked(first) if first is not None else self.first or self._earlier(earliest, current)
        ends = [current, *([self.checked(last)] if last is not None else []), *([self.last] if self.last else [])]
        return self._axis(begin, min(ends, key=lambda end: end.astimezone(UTC)))

    def axis_of(self, values: Iterable[str | date | datetime]) -> TimeAxis:
        """The given partitions in order, each once. Raises ``PartitionError`` if one is no partition of these."""
        found = {start.astimezone(UTC): start for start in map(self.checked, values)}
        starts = [found[instant] for instant in sorted(found)]
        return TimeAxis(self, [self._text(start) for start in starts], lambda: starts, is_range=False)

    def __repr__(self) -> str:
        options = [f"{name}={value!r}" for name in ("start", "end", "timezone") if (value := getattr(self, name))]
        return f"TimePartitions({', '.join([repr(str(self.frequency)), *options])})"

    def _axis(self, begin: datetime, end: datetime) -> TimeAxis:
        return TimeAxis(self, self.texts(begin, end), lambda: self._starts(begin, end), is_range=True)

    def _earlier(self, earliest: str | None, current: datetime) -> datetime:
        try:
            found = current if earliest is None else self.checked(earliest)
        except PartitionError:
            return (
                current  # as the docstring of axis says: what another definition left in the store is no range of this
            )
        return min(found, current, key=lambda start: start.astimezone(UTC))  # one may be executed ahead of its time

    def _start(self, first: date) -> datetime:
        return day_start(self.zone, first).astimezone(self.zone)

    def _text(self, start: datetime) -> str:
        return hour_text(start) if self.kind is Frequency.HOURLY else self.kind.text(self.kind.first_day(start.date()))

    def _days(self, first: datetime, last: datetime) -> Iterator[date]:
        day, end = self.kind.first_day(first.date()), last.date()
        looks = self.kind is Frequency.DAILY and _may_leave_out_days(self.zone, day, end)
        while day <= end:
            if not looks or self._start(day).date() == day:
                yield day
            day = self.kind.next_day(day)

    def _starts(self, first: datetime, last: datetime) -> list[datetime]:
        if self.kind is Frequency.HOURLY:
            return hour_starts(self.zone, first, last)
        return [self._start(day) for day in self._days(first, last)]

    def _parse_text(self, text: str) -> datetime:
        try:
            first = self.kind.read(text)
            if first is not None:
                return self._parse_date(first)
            if _DATE.fullmatch(text):
                return self._parse_date(date.fromisoformat(text))
            if _DATETIME.fullmatch(text):
                moment = datetime.fromisoformat(text)
                self._check_told_apart(moment, text)
                return self._parse_datetime(moment, repr(text))
        except ValueError as error:
            if isinstance(error, PartitionError):
                raise
            raise PartitionError(f"{text!r} is in no calendar: {error}.") from None
        raise PartitionError(f"{text!r} is no {self.kind} partition; write it like {self.kind.example!r}.")

    def _parse_date(self, day: date) -> datetime:
        _check_year(day.year, day.isoformat())
        if self.kind is Frequency.HOURLY:
            raise PartitionError(f"{day} is a whole day; an hourly partition is written like {self.kind.example!r}.")
        first = self.kind.first_day(day)
        if first != day:
            raise PartitionError(
                f"{day} is not the start of a {self.kind.period}; the {self.kind.period} it is in is "
                f"{self.kind.text(first)!r}."
            )
        start = self._start(day)
        if self.kind is Frequency.DAILY and start.date() != day:
            raise PartitionError(f"{day} does not exist in {self.zone}: the calendar left it out there.")
        return start

    def _parse_datetime(self, moment: datetime, shown: str) -> datetime:
        moment = _plain(moment, shown)
        if moment.utcoffset() is None:
            if self.kind is not Frequency.HOURLY and moment.time() == time():
                return self._parse_date(moment.date())  # also where the clock jumps over midnight
            _check_year(moment.year, shown)
            local = moment.replace(tzinfo=self.zone)
            if local.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != moment.replace(fold=0):
                raise PartitionError(f"{shown} does not exist in {self.zone}: the clock is put forward over it.")
            moment = local
        _check_year(moment.year, shown)
        start = self.containing(moment)
        if start.astimezone(UTC) != moment.astimezone(UTC):
            raise PartitionError(
                f"{shown} is not the start of {'an' if self.kind.period == 'hour' else 'a'} {self.kind.period}; the "
                f"{self.kind.period} it is in is {self._text(start)!r}."
            )
        return start

    def _check_told_apart(self, moment: datetime, text: str) -> None:
        if moment.utcoffset() is not None or self.kind is not Frequency.HOURLY:
            return
        first, second = (moment.replace(tzinfo=self.zone, fold=fold).utcoffset() for fold in (0, 1))
        # in a gap the offsets differ as well, but then the first is the smaller one
        if first is not None and second is not None and first > second:
            both = [hour_text(moment.replace(tzinfo=self.zone, fold=fold)) for fold in (0, 1)]
            raise PartitionError(f"{text!r} happens twice in {self.zone}; write {both[0]!r} or {both[1]!r}.")


def _may_leave_out_days(zone: tzinfo, first: date, last: date) -> bool:
    """Whether a zone may have moved over the date line (Apia in 2011), told from its offsets at the turns of the years."""
    turns = [datetime(year, 1, 1, tzinfo=zone).utcoffset() for year in range(first.year, last.year + 2)]
    offsets = [offset for offset in turns if offset is not None]
    return max(offsets) - min(offsets) > timedelta(hours=12)


def _frequency_mistake(frequency: Any) -> str:
    known = ", ".join(repr(str(known)) for known in Frequency)
    return f"time_partitions is {frequency!r}; it must be one of {known}, or TimePartitions of one of them."


def _check_year(year: int, shown: str) -> None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise PartitionError(f"{shown} is out of range; partitions have years from {_FIRST_YEAR} to {_LAST_YEAR}.")


def _plain(moment: datetime, shown: str) -> datetime:
    """The same as a ``datetime`` and no subclass: that of pandas computes otherwise, and has a value that is none."""
    if type(moment) is datetime:
        return moment
    try:
        whole = datetime.combine(date(moment.year, moment.month, moment.day), moment.timetz())
    except (TypeError, ValueError):
        raise PartitionError(f"{shown} is no moment in time.") from None
    return whole.replace(fold=moment.fold)


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else repr(value)
