"""Partitions: the time x category grid of a job, its cells, and which of them a run takes.

A cell is known by its key, a pair of texts ``(time partition, category)`` with None for a dimension that the job does
not have; the store keeps the same two texts. A job's definition says which cells exist; the store says what became of
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import PartitionError
from .frequencies import Frequency
from .time_partitions import TimeAxis, TimePartitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date, datetime, tzinfo

PartitionKey = tuple[str | None, str | None]
Only = Literal["all", "missing", "failed", "missing_or_failed"]
Order = Literal["asc", "desc"]
Measure = Literal["duration", "age"]

STATUS_LETTERS = {
    "success": "s",
    "skipped": "k",
    "error": "e",
    "cancelled": "c",
    "running": "r",
    "queued": "q",
}
"""One letter for each status of a cell in the lines of a grid."""
MISSING_LETTER = "."
"""A cell that was never executed."""
ABSENT_LETTER = " "
"""A cell that does not exist, since ``partition_filter`` says so."""
LETTERLESS = " "
"""A cell of which there is nothing to measure, where letters stand for levels of a ``Measure``."""

LEVELS: dict[Measure, tuple[float, ...]] = {
    "duration": (0.01, 0.1, 0.3, 1, 3, 10, 30, 60, 300, 1_800, 7_200),
    "age": (60, 600, 3_600, 21_600, 86_400, 259_200, 604_800, 2_592_000, 7_776_000, 15_552_000, 31_536_000),
}
"""In seconds: what is below the first is "a", what is below the second "b" …, and what is above the last one "l"."""

_TAKEN = {"missing": ".k", "failed": "ec", "missing_or_failed": ".kec", "all": ".kecsrq"}
"""The letters of the cells that a run takes."""


class Partitions:
    """The partitions of a job: over time, over categories, or both, without those that a filter leaves out.

    ``job`` is its name, for messages. ``time`` is a frequency or ``TimePartitions``, ``cat`` a list of strings,
    ``filter`` a function of the start of the period and the category (None for a dimension the job does not have) that
    says whether that partition exists. ``timezone`` is the flow's, for time partitions that have none of their own.
    Nothing raises here: ``mistakes`` says what is wrong with a definition.
    """

    __slots__ = ("cat", "filter", "job", "time")

    def __init__(
        self,
        job: str,
        time: Frequency | str | TimePartitions | None = None,
        cat: Sequence[str] | None = None,
        filter: Callable[[datetime | None, str | None], bool] | None = None,  # noqa: A002 - its name in the decorator
        timezone: str | tzinfo | None = None,
    ) -> None:
        self.job = job
        given = time if time is None or isinstance(time, TimePartitions) else TimePartitions(time)
        self.time = given if given is None or timezone is None else given.with_default_zone(timezone)
        # what is no list is kept as it is, for mistakes() to report; "abc" must not become three categories
        self.cat: tuple[str, ...] | None = tuple(cat) if isinstance(cat, (list, tuple)) else cat  # type: ignore[assignment]
        self.filter = filter

    def mistakes(self) -> list[str]:
        """What is wrong with the definition, each as one sentence."""
        found = [] if self.time is None else self.time.mistakes()
        found += self._category_mistakes()
        if self.filter is not None and not callable(self.filter):
            found.append(
                f"partition_filter is {self.filter!r}; it must be a function of the time partition and the category."
            )
        if self.filter is not None and self.time is None and self.cat is None:
            found.append("partition_filter is given without partitions; give time_partitions, cat_partitions, or both.")
        return found

    def _category_mistakes(self) -> list[str]:
        given: Any = self.cat
        if given is None:
            return []
        if not isinstance(given, tuple):
            return [f"cat_partitions is {given!r}; it must be a list of strings."]
        if not given:
            return ["cat_partitions is an empty list; name at least one category, or leave it out."]
        found = []
        names: set[str] = set()
        wrong, blank, broken, doubles = [], [], [], []
        for name in given:
            if not isinstance(name, str):
                wrong.append(name)
            elif not name.strip():
                blank.append(name)
            elif not _is_unicode(name):
                broken.append(name)
            elif name in names:
                doubles.append(name)
            else:
                names.add(name)
        if wrong:
            found.append(f"cat_partitions holds {_listed(wrong)}; categories are strings.")
        if blank:
            found.append(f"cat_partitions holds the empty name {blank[0]!r}; a category needs a name.")
        if broken:
            found.append(f"cat_partitions holds {_listed(broken)}, which is no valid Unicode (a lone surrogate).")
        if doubles:
            twice = _listed(list(dict.fromkeys(doubles)))
            found.append(f"cat_partitions holds {twice} more than once; name each category once.")
        return found

    def check(
        self, time_partition: str | date | datetime | None, cat_partition: str | None
    ) -> tuple[datetime | None, str | None]:
        """The partition that is meant, as the start of its period and its category; None where none was given.

        Raises ``PartitionError`` for a dimension that the job does not have, a time that is not the start of a period
        or outside ``start`` and ``end``, an unknown category, a partition that the filter leaves out, and a filter
        that fails. The filter is asked only if no dimension is left open.
        """
        start = None if time_partition is None else self.period(time_partition)
        category = None if cat_partition is None else self._checked_category(cat_partition)
        is_whole = (self.time is None or start is not None) and (self.cat is None or category is not None)
        if is_whole and not self._exists(start, category):
            text = None if start is None or self.time is None else self.time.text(start)
            raise PartitionError(f"{self._where}: partition {_named(text, category)} is left out by partition_filter.")
        return start, category

    def period(self, value: str | date | datetime) -> datetime:
        """The start of the time partition that is meant, whether or not the filter leaves it out.

        Raises ``PartitionError`` as ``check`` does otherwise.
        """
        if self.time is None:
            raise PartitionError(
                f"{self._where} has no time partitions, and time_partition {value!r} was given.", time_partition=value
            )
        try:
            return self.time.checked(value)
        except PartitionError as error:
            raise self._placed(error) from error

    def key(self, time_partition: str | date | datetime | None, cat_partition: str | None) -> PartitionKey:
        """The texts under which the store knows a partition; raises ``PartitionError`` as ``check`` does."""
        start, category = self.check(time_partition, cat_partition)
        return (None if start is None or self.time is None else self.time.text(start)), category

    def time_axis(
        self,
        first: str | date | datetime | None,
        last: str | date | datetime | None,
        now: datetime,
        earliest: str | None = None,
    ) -> TimeAxis | None:
        """The time partitions from ``first`` to ``last`` that exist at ``now``; None for a job that has none.

        See ``TimePartitions.axis``. Raises ``PartitionError`` for an end that is no partition of this job.
        """
        if self.time is None:
            if first is not None or last is not None:
                raise PartitionError(f"{self._where} has no time partitions, and a range of them was given.")
            return None
        try:
            return self.time.axis(first, last, now, earliest)
        except PartitionError as error:
            raise self._placed(error) from error

    def time_axis_of(self, values: Iterable[str | date | datetime]) -> TimeAxis:
        """The given time partitions in order, each once. Raises ``PartitionError`` for one the job does not have."""
        if self.time is None:
            raise PartitionError(f"{self._where} has no time partitions; leave time_partitions out.")
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise PartitionError(f"{self._where}: time_partitions is {values!r}; give a list of time partitions.")
        try:
            return self.time.axis_of(values)
        except PartitionError as error:
            raise self._placed(error) from error

    def categories(self, chosen: Iterable[str] | None = None) -> tuple[str | None, ...]:
        """The chosen categories in the order of the definition, each once; all of them by default.

        ``(None,)`` for a job without categories. Raises ``PartitionError`` for an unknown one.
        """
        if chosen is None:
            return (None,) if self.cat is None else self.cat
        if isinstance(chosen, str) or not isinstance(chosen, Iterable):
            raise PartitionError(f"{self._where}: cat_partitions is {chosen!r}; give a list of categories.")
        known = dict.fromkeys(self.cat or (), False)
        for name in chosen:
            known[self._checked_category(name)] = True
        return tuple(name for name, is_chosen in known.items() if is_chosen)

    def mark_absent(
        self, lines: Sequence[str], axis: TimeAxis | None, cats: Sequence[str | None] | None = None
    ) -> list[str]:
        """The lines of a grid, one text for each of ``cats`` (all by default), with a space where a filter leaves out a cell.

        Raises ``PartitionError`` for a filter that fails.
        """
        if self.filter is None:
            return list(lines)
        columns = self.categories() if cats is None else cats
        starts: Sequence[datetime | None] = (None,) if axis is None else axis.starts
        return [
            "".join(
                letter if self._exists(start, category) else ABSENT_LETTER
                for letter, start in zip(line, starts, strict=True)
            )
            for category, line in zip(columns, lines, strict=True)
        ]

    @property
    def _where(self) -> str:
        return f"Job {self.job!r}"

    def _placed(self, error: PartitionError) -> PartitionError:
        """The same error, which names the job."""
        return PartitionError(f"{self._where}: {error}", time_partition=error.time_partition)

    def _checked_category(self, value: str) -> str:
        if self.cat is None:
            message = f"{self._where} has no categories, and cat_partition {value!r:.200} was given."
            raise PartitionError(message, cat_partition=value)
        if not isinstance(value, str):
            message = f"{self._where}: cat_partition is {value!r:.200}; a category is a string."
            raise PartitionError(message, cat_partition=value)
        if value in self.cat:
            return value
        from difflib import get_close_matches

        near = get_close_matches(value[:200], self.cat, 3)
        advice = f"did you mean {_listed(near, ' or ')}?" if near else f"it has {_listed(self.cat)}."
        raise PartitionError(f"{self._where} has no category {value!r:.200}; {advice}", cat_partition=value)

    def _exists(self, start: datetime | None, category: str | None) -> bool:
        if self.filter is None:
            return True
        try:
            answer: Any = self.filter(start, category)
        except (Exception, SystemExit) as error:  # a user's function may raise anything, and it is told whole
            raise PartitionError(
                f"{self._where}: partition_filter failed for {self._filtered(start, category)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if answer is not True and answer is not False:
            raise PartitionError(
                f"{self._where}: partition_filter returned {answer!r} for {self._filtered(start, category)}; "
                "it must return True or False. Wrap the result in bool()."
            )
        return answer

    def _filtered(self, start: datetime | None, category: str | None) -> str:
        return _named(None if start is None or self.time is None else self.time.text(start), category)


def count_taken(lines: Iterable[str], only: Only) -> int:
    """How many cells of a grid a run would take."""
    return sum(line.count(letter) for line in lines for letter in _TAKEN[only])


class Cells:
    """The cells that a run takes, time by time, and within each in the order of the categories; made as they are asked for.

    ``lines`` are the statuses of the grid, one text for each of ``cats`` with one letter for each of ``times`` (a
    space: there is no such cell). ``only`` picks by status: "missing" were never executed, or only skipped; "failed"
    ended with error or cancelled. ``order`` says which end of time goes first. Raises ``PartitionError`` for other words.
    """

    def __init__(
        self,
        times: Sequence[str | None],
        cats: Sequence[str | None],
        lines: Sequence[str],
        only: Only = "all",
        order: Order = "asc",
    ) -> None:
        _check_word("only", only, get_args(Only))
        _check_word("order", order, get_args(Order))
        self._times = times
        self._cats = cats
        self._lines = lines
        self._taken = frozenset(_TAKEN[only])
        self._backwards = order == "desc"
        self._count = count_taken(lines, only)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[PartitionKey]:
        times, cats = self._times, self._cats
        return ((times[column], cats[row]) for column, row in self.positions())

    def positions(self) -> Iterator[tuple[int, int]]:
        """Where the cells stand: the index of the time and that of the category."""
        if not self._count:
            return
        last = len(self._times) - 1
        lines = [line[::-1] for line in self._lines] if self._backwards else self._lines
        taken, rows = self._taken, range(len(self._cats))
        for index, letters in enumerate(zip(*lines, strict=True)):
            for row, letter in zip(rows, letters, strict=True):
                if letter in taken:
                    yield (last - index if self._backwards else index), row


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_word(argument: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        known = ", ".join(repr(word) for word in allowed)
        raise PartitionError(f"{argument} is {value!r}; it must be one of {known}.")


def _listed(values: Sequence[Any], joint: str = ", ") -> str:
    shown = [repr(value) for value in values[:8]]
    return joint.join(shown) + (f" and {len(values) - 8:,} more" if len(values) > 8 else "")


def _named(text: str | None, category: str | None) -> str:
    return " of ".join(part for part in (text, category) if part is not None) or "without keys"


__all__ = [
    "ABSENT_LETTER",
    "LETTERLESS",
    "LEVELS",
    "MISSING_LETTER",
    "STATUS_LETTERS",
    "Cells",
    "Frequency",
    "Measure",
    "Only",
    "Order",
    "PartitionKey",
    "Partitions",
    "TimeAxis",
    "TimePartitions",
    "count_taken",
]
