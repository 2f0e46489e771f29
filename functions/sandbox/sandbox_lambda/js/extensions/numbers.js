// Methods of numbers and booleans.

import { DateTime } from "../dates.js";

const rounded = (number, decimals = 0) => Number(number.toFixed(decimals));

export const NUMBERS = {
  round: rounded,
  floor: Math.floor,
  ceil: Math.ceil,
  abs: Math.abs,
  isEven: (number) => number % 2 === 0,
  isOdd: (number) => Math.abs(number) % 2 === 1,
  isInteger: Number.isInteger,
  isEmpty: (number) => number === 0,
  isNotEmpty: (number) => number !== 0,
  format: (number, locale = "en-US", options = undefined) => number.toLocaleString(locale, options),
  toBoolean: (number) => number !== 0,
  toInt: Math.round,
  toFloat: (number) => number,
  toNumber: (number) => number,
  toJsonString: (number) => JSON.stringify(number),
  toDateTime(number, format = "ms") {
    if (format === "s") return DateTime.fromSeconds(number);
    if (format === "us") return DateTime.fromMillis(number / 1000);
    if (format === "excel") return DateTime.fromMillis((number - 25_569) * 86_400_000, { zone: "UTC" });
    return DateTime.fromMillis(number);
  },
};

export const BOOLEANS = {
  isEmpty: (value) => !value,
  isNotEmpty: (value) => value,
  toNumber: Number,
  toInt: Number,
  toFloat: Number,
  toBoolean: (value) => value,
  toJsonString: JSON.stringify,
};
