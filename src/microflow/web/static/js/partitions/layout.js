// Where partitions stand in the picture. Over time and categories: a row for each category, a column for each period. Over time
// alone: a calendar (weekdays by weeks, hours by days, months by years), so that three years fit on a screen. Over categories alone:
// tiles with the names on them. A partition is a line (its category) and a time (a period's place on the axis).

import { PERIODS, calendar, columnOf, levelsOf, monthName, weekday, weekdayName } from "./times.js";

/** @typedef {import("./times.js").Frequency} Frequency */
/** @typedef {import("./times.js").Column} Column */
/** @typedef {import("./times.js").Level} Level */

/**
 * The axes of a job's partitions; null for a dimension that it does not have.
 * @typedef {object} Axes
 * @property {Frequency | null} frequency
 * @property {string[] | null} times
 * @property {string[] | null} cats
 */

/**
 * @typedef {object} Layout
 * @property {"matrix" | "calendar" | "tiles"} kind
 * @property {number} rows
 * @property {number} columns
 * @property {string[]} labels of the rows; "" where a row has none
 * @property {Column[]} dates of the columns; none for tiles
 * @property {Level[]} levels of the columns; none for tiles
 * @property {(row: number, column: number) => number} line -1 where there is no partition
 * @property {(row: number, column: number) => number} time
 * @property {(line: number, time: number) => number} row
 * @property {(line: number, time: number) => number} column
 */

/** @param {Axes} axes @param {number} tiles in one row, for categories alone @returns {Layout} */
export function layoutOf(axes, tiles) {
  if (axes.times === null) return tilesOf(axes.cats?.length ?? 0, tiles);
  const frequency = /** @type {Frequency} */ (axes.frequency);
  const dates = axes.times.map((text) => columnOf(text, frequency));
  if (axes.cats === null && CALENDARS[frequency] && dates.length > 1) return calendarOf(dates, CALENDARS[frequency]);
  const count = axes.cats?.length ?? 1;
  return {
    kind: "matrix",
    rows: count,
    columns: dates.length,
    labels: axes.cats ?? [""],
    dates,
    levels: levelsOf(dates, PERIODS[frequency]),
    line: (row) => row,
    time: (_, column) => column,
    row: (line) => line,
    column: (_, time) => time,
  };
}

/** @param {number} count @param {number} across @returns {Layout} */
function tilesOf(count, across) {
  const columns = Math.max(Math.min(across, count), 1);
  const rows = Math.max(Math.ceil(count / columns), 1);
  return {
    kind: "tiles",
    rows,
    columns,
    labels: Array(rows).fill(""),
    dates: [],
    levels: [],
    line: (row, column) => (row * columns + column < count ? row * columns + column : -1),
    time: () => 0,
    row: (line) => Math.floor(line / columns),
    column: (line) => line % columns,
  };
}

/**
 * How a calendar is cut: the key of a column, the row within it, the date that a column is known by.
 * @typedef {object} Calendar
 * @property {import("./times.js").Period} period
 * @property {(date: Column) => number} key
 * @property {(date: Column) => number} row
 * @property {(date: Column) => Column} date
 * @property {string[]} labels
 */

/** Of weeks and years there are few, and they stand in one row. @type {Partial<Record<Frequency, Calendar>>} */
const CALENDARS = {
  hourly: {
    period: "day",
    key: (date) => date.day,
    row: (date) => date.hour,
    date: (date) => ({ day: date.day, hour: 0 }),
    labels: Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0")),
  },
  daily: {
    period: "week",
    key: (date) => date.day - weekday(date.day),
    row: (date) => weekday(date.day),
    date: (date) => ({ day: date.day - weekday(date.day) + 3, hour: 0 }),
    labels: Array.from({ length: 7 }, (_, day) => weekdayName(day)),
  },
  monthly: {
    period: "year",
    key: (date) => calendar(date.day).year,
    row: (date) => calendar(date.day).month - 1,
    date: (date) => date,
    labels: Array.from({ length: 12 }, (_, month) => monthName(month + 1)),
  },
  quarterly: {
    period: "year",
    key: (date) => calendar(date.day).year,
    row: (date) => Math.floor((calendar(date.day).month - 1) / 3),
    date: (date) => date,
    labels: ["Q1", "Q2", "Q3", "Q4"],
  },
};

/** @param {Column[]} dates @param {Calendar} cut @returns {Layout} */
function calendarOf(dates, cut) {
  const rowOf = new Int32Array(dates.length);
  const columnsOf = new Int32Array(dates.length);
  /** @type {Column[]} */
  const columns = [];
  /** @type {Set<number>} */
  let taken = new Set();
  let last = NaN;
  let rows = cut.labels.length;
  dates.forEach((date, time) => {
    const key = cut.key(date);
    if (key !== last) {
      columns.push(cut.date(date));
      taken = new Set();
    }
    last = key;
    let row = cut.row(date);
    // an hour that the clock shows twice stands in a row of its own, below the others
    if (taken.has(row)) row = cut.labels.length;
    while (taken.has(row)) row += 1;
    taken.add(row);
    rows = Math.max(rows, row + 1);
    rowOf[time] = row;
    columnsOf[time] = columns.length - 1;
  });
  const times = new Int32Array(rows * columns.length).fill(-1);
  for (let time = 0; time < dates.length; time++) times[rowOf[time] * columns.length + columnsOf[time]] = time;
  const labels = [...cut.labels];
  while (labels.length < rows) labels.push("again");
  return {
    kind: "calendar",
    rows,
    columns: columns.length,
    labels,
    dates: columns,
    levels: levelsOf(columns, cut.period),
    line: (row, column) => (times[row * columns.length + column] < 0 ? -1 : 0),
    time: (row, column) => times[row * columns.length + column],
    row: (_, time) => rowOf[time],
    column: (_, time) => columnsOf[time],
  };
}

/** How a partition is written for people: "2026-11-22 · toys". @param {Axes} axes @param {number} line @param {number} time */
export function keyText(axes, line, time) {
  return [axes.times?.[time], axes.cats?.[line]].filter((part) => part !== undefined).join(" · ");
}

/** A time partition with the day of the week or the first day, where its text does not say it. @param {Axes} axes @param {number} time */
export function timeHint(axes, time) {
  const text = axes.times?.[time];
  if (text === undefined || axes.frequency === null) return "";
  const { day } = columnOf(text, axes.frequency);
  if (axes.frequency === "hourly" || axes.frequency === "daily") return weekdayName(weekday(day));
  if (axes.frequency !== "weekly") return "";
  const { year, month, date } = calendar(day - 3);
  return `from ${date} ${monthName(month)} ${year}`;
}
