// Methods of dates: those of Luxon, and n8n's own.

import { DateTime } from "../dates.js";
import { ExpressionError } from "../errors.js";
import { parseDate } from "../types.js";

export function toDate(value) {
  const date = parseDate(value);
  if (!date?.isValid) throw new ExpressionError("cannot convert to Luxon DateTime");
  return date;
}

const singular = (unit) => String(unit).replace(/s$/, "");
const plural = (unit) => `${singular(unit)}s`;
const shift = (amount, unit) => (typeof amount === "object" ? amount : { [plural(unit ?? "milliseconds")]: amount });
const luxon = (date) => (DateTime.isDateTime(date) ? date : DateTime.fromJSDate(date));

export const DATES = {
  isEmpty: () => false,
  isNotEmpty: () => true,
  format: (date, format) => luxon(date).toFormat(format),
  plus: (date, amount, unit) => luxon(date).plus(shift(amount, unit)),
  minus: (date, amount, unit) => luxon(date).minus(shift(amount, unit)),
  beginningOf: (date, unit = "week") => luxon(date).startOf(singular(unit)),
  startOf: (date, unit = "week") => luxon(date).startOf(singular(unit)),
  endOfMonth: (date) => luxon(date).endOf("month"),
  extract: (date, part = "week") =>
    part === "week" || part === "weekNumber" ? luxon(date).weekNumber : luxon(date).get(singular(part)),
  isBetween(date, first, second) {
    const [a, b] = [toDate(first), toDate(second)];
    return luxon(date) > (a < b ? a : b) && luxon(date) < (a < b ? b : a);
  },
  isInLast: (date, amount = 0, unit = "minutes") =>
    luxon(date) > DateTime.now().minus({ [plural(unit)]: amount }) && luxon(date) < DateTime.now(),
  isWeekend: (date) => [6, 7].includes(luxon(date).weekday),
  isDst: (date) => luxon(date).isInDST,
  diffTo(date, other = new Date(), units = "days") {
    const list = Array.isArray(units) ? units.map(plural) : [plural(units)];
    const difference = luxon(date).diff(toDate(other), list);
    return Array.isArray(units) ? difference.toObject() : difference.as(list[0]);
  },
  diffToNow: (date, units = "days") => DATES.diffTo(date, new Date(), units),
  toDateTime: luxon,
  toInt: (date) => luxon(date).toMillis(),
  toJsonString: (date) => JSON.stringify(date),
};
