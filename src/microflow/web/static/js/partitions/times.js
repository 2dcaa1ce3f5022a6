// Time partitions in the browser: the texts of an axis from its stretches (as model/segments.py cuts them), the calendar days that
// they stand for, and the coarser periods into which columns are gathered and by which they are labelled.

/** @typedef {"hourly" | "daily" | "weekly" | "monthly" | "quarterly" | "yearly"} Frequency */
/** @typedef {"hour" | "day" | "week" | "month" | "quarter" | "year" | "decade"} Period */

/**
 * One column of a picture: the calendar day it begins with, as days since 1970-01-01 (of a week its Thursday, by which ISO 8601 says
 * to which month and year it belongs), and the hour of that day.
 * @typedef {object} Column
 * @property {number} day
 * @property {number} hour
 */

/**
 * Columns gathered into periods: `starts` are the columns that periods begin with, and after the last one the number of columns.
 * @typedef {object} Level
 * @property {Period} period
 * @property {Int32Array} starts
 */

const DAY = 86_400_000;
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** @type {Record<Frequency, Period>} */
export const PERIODS = {
  hourly: "hour",
  daily: "day",
  weekly: "week",
  monthly: "month",
  quarterly: "quarter",
  yearly: "year",
};

/** The periods that columns of a period may be gathered into, the finest first. @type {Record<Period, Period[]>} */
const COARSER = {
  hour: ["hour", "day", "week", "month", "quarter", "year", "decade"],
  day: ["day", "week", "month", "quarter", "year", "decade"],
  week: ["week", "month", "quarter", "year", "decade"],
  month: ["month", "quarter", "year", "decade"],
  quarter: ["quarter", "year", "decade"],
  year: ["year", "decade"],
  decade: ["decade"],
};

/** @param {number} number */
const two = (number) => String(number).padStart(2, "0");

/** @param {number} year @param {number} month from 1 on @param {number} date */
export function dayNumber(year, month, date) {
  return Math.round(Date.UTC(year, month - 1, date) / DAY);
}

/** @param {number} day */
export function calendar(day) {
  const moment = new Date(day * DAY);
  return { year: moment.getUTCFullYear(), month: moment.getUTCMonth() + 1, date: moment.getUTCDate() };
}

/** The day of the week, 0 for Monday. @param {number} day */
export function weekday(day) {
  return (((day + 3) % 7) + 7) % 7;
}

/** @param {number} day */
function dateText(day) {
  return new Date(day * DAY).toISOString().slice(0, 10);
}

/** The ISO 8601 year and week of a day. @param {number} day */
export function isoWeek(day) {
  const thursday = day - weekday(day) + 3;
  const { year } = calendar(thursday);
  return { year, week: Math.floor((thursday - dayNumber(year, 1, 1)) / 7) + 1 };
}

/**
 * The texts of an axis: each stretch is its first partition and how many follow evenly from it.
 * @param {readonly (readonly [string, number])[]} stretches @param {Frequency} frequency
 * @returns {string[]}
 */
export function expand(stretches, frequency) {
  /** @type {string[]} */
  const texts = [];
  for (const [first, count] of stretches) addStretch(texts, first, count, frequency);
  return texts;
}

/** @param {string[]} texts @param {string} first @param {number} count @param {Frequency} frequency */
function addStretch(texts, first, count, frequency) {
  const year = Number(first.slice(0, 4));
  if (frequency === "hourly") {
    addHours(texts, first, count);
  } else if (frequency === "daily") {
    const day = columnOf(first, frequency).day;
    for (let number = 0; number < count; number++) texts.push(dateText(day + number));
  } else if (frequency === "weekly") {
    const thursday = columnOf(first, frequency).day;
    for (let number = 0; number < count; number++) {
      const { year: ofWeek, week } = isoWeek(thursday + 7 * number);
      texts.push(`${ofWeek}-W${two(week)}`);
    }
  } else if (frequency === "monthly") {
    const month = year * 12 + Number(first.slice(5, 7)) - 1;
    for (let at = month; at < month + count; at++) texts.push(`${Math.floor(at / 12)}-${two((at % 12) + 1)}`);
  } else if (frequency === "quarterly") {
    const quarter = year * 4 + Number(first.slice(6)) - 1;
    for (let at = quarter; at < quarter + count; at++) texts.push(`${Math.floor(at / 4)}-Q${(at % 4) + 1}`);
  } else {
    for (let number = 0; number < count; number++) texts.push(String(year + number));
  }
}

/** Hours of one offset: every one is 3,600 seconds later on the wall. @param {string[]} texts @param {string} first @param {number} count */
function addHours(texts, first, count) {
  const offset = /(Z|[+-]\d{2}:\d{2}(:\d{2})?)$/.exec(first)?.[0] ?? "";
  const wall = first.slice(0, first.length - offset.length);
  const start = Date.parse(`${wall}Z`);
  for (let number = 0; number < count; number++) {
    texts.push(new Date(start + number * 3_600_000).toISOString().slice(0, wall.length) + offset);
  }
}

/** @param {string} text a partition @param {Frequency} frequency @returns {Column} */
export function columnOf(text, frequency) {
  const year = Number(text.slice(0, 4));
  const second = Number(text.slice(5, 7));
  switch (frequency) {
    case "hourly":
      return { day: dayNumber(year, second, Number(text.slice(8, 10))), hour: Number(text.slice(11, 13)) };
    case "daily":
      return { day: dayNumber(year, second, Number(text.slice(8, 10))), hour: 0 };
    case "weekly": {
      const fourth = dayNumber(year, 1, 4); // is always in the first week
      return { day: fourth - weekday(fourth) + 3 + 7 * (Number(text.slice(6)) - 1), hour: 0 };
    }
    case "monthly":
      return { day: dayNumber(year, second, 1), hour: 0 };
    case "quarterly":
      return { day: dayNumber(year, Number(text.slice(6)) * 3 - 2, 1), hour: 0 };
    default:
      return { day: dayNumber(year, 1, 1), hour: 0 };
  }
}

/** A number that is the same for all days of a period. @param {Period} period @param {Column} column @param {number} index */
function keyIn(period, column, index) {
  if (period === "hour") return index; // an hour that the clock shows twice is two columns
  if (period === "day") return column.day;
  if (period === "week") return Math.floor((column.day + 3) / 7);
  const { year, month } = calendar(column.day);
  if (period === "month") return year * 12 + month;
  if (period === "quarter") return year * 4 + Math.floor((month - 1) / 3);
  return period === "year" ? year : Math.floor(year / 10);
}

/**
 * The levels of an axis, the finest first: every column for itself, then the coarser periods.
 * @param {readonly Column[]} columns @param {Period} period of one column
 * @returns {Level[]}
 */
export function levelsOf(columns, period) {
  return COARSER[period].map((coarser) => {
    /** @type {number[]} */
    const starts = [];
    let last = NaN;
    for (let index = 0; index < columns.length; index++) {
      const key = coarser === period ? index : keyIn(coarser, columns[index], index);
      if (key !== last) starts.push(index);
      last = key;
    }
    return { period: coarser, starts: Int32Array.from([...starts, columns.length]) };
  });
}

/**
 * What a period is called where what is around it is told elsewhere: "05", "22", "Nov", "Q4".
 * @param {Period} period @param {Column} column
 */
export function shortLabel(period, column) {
  const { year, month, date } = calendar(period === "week" ? column.day - weekday(column.day) : column.day);
  switch (period) {
    case "hour":
      return two(column.hour);
    case "day":
    case "week":
      return String(date);
    case "month":
      return MONTHS[month - 1].slice(0, 3);
    case "quarter":
      return `Q${Math.floor((month + 2) / 3)}`;
    case "decade":
      return `${Math.floor(year / 10) * 10}s`;
    default:
      return String(year);
  }
}

/**
 * What a period is called for itself, the longest first; a picture takes the first that fits.
 * @param {Period} period @param {Column} column
 * @returns {string[]}
 */
export function longLabels(period, column) {
  const { year, month, date } = calendar(column.day);
  const name = MONTHS[month - 1];
  const brief = name.slice(0, 3);
  switch (period) {
    case "hour":
    case "day":
      return [`${WEEKDAYS[weekday(column.day)]} ${date} ${name} ${year}`, `${date} ${brief} ${year}`, `${date} ${brief}`, String(date)];
    case "week": {
      const { year: ofWeek, week } = isoWeek(column.day);
      return [`Week ${week} of ${ofWeek}`, `W${two(week)} ${ofWeek}`, `W${two(week)}`];
    }
    case "month":
      return [`${name} ${year}`, `${brief} ${year}`, brief];
    case "quarter":
      return [`Q${Math.floor((month + 2) / 3)} ${year}`, `Q${Math.floor((month + 2) / 3)}`];
    case "decade":
      return [`${Math.floor(year / 10) * 10}s`];
    default:
      return [String(year)];
  }
}

/** @param {number} month from 1 on */
export const monthName = (month) => MONTHS[month - 1];

/** @param {number} day of the week, 0 for Monday */
export const weekdayName = (day) => WEEKDAYS[day];
