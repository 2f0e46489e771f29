// The engine has no Intl. This is what Luxon needs of it, in American English; the host knows the time zones' offsets.

const MONTHS = "January February March April May June July August September October November December".split(" ");
const WEEKDAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const STYLES = {
  full: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  long: { year: "numeric", month: "long", day: "numeric" },
  medium: { year: "numeric", month: "short", day: "numeric" },
  short: { year: "2-digit", month: "numeric", day: "numeric" },
};

function offset(zone, milliseconds) {
  const minutes = zone === "UTC" ? 0 : globalThis.__zoneOffset(zone, milliseconds);
  if (minutes === null) throw new RangeError(`Invalid time zone specified: ${zone}`);
  return minutes;
}

class DateTimeFormat {
  constructor(_locale, options = {}) {
    this.options = { ...STYLES[options.dateStyle], ...options };
    if (options.timeStyle) Object.assign(this.options, { hour: "numeric", minute: "2-digit" });
    if (["medium", "long", "full"].includes(options.timeStyle)) this.options.second = "2-digit";
    this.zone = options.timeZone ?? globalThis.__timeZone ?? "UTC";
    offset(this.zone, 0);
    const parts = ["weekday", "era", "year", "month", "day", "hour", "minute", "second", "dayPeriod", "timeZoneName"];
    if (!parts.some((part) => this.options[part]))
      Object.assign(this.options, { year: "numeric", month: "numeric", day: "numeric" });
  }

  resolvedOptions() {
    const { hour12, hourCycle } = this.options;
    return { locale: "en-US", calendar: "gregory", numberingSystem: "latn", timeZone: this.zone, hour12, hourCycle };
  }

  formatToParts(date = new Date()) {
    const { options } = this;
    const minutes = offset(this.zone, Number(date));
    const local = new Date(Number(date) + minutes * 60_000);
    const year = local.getUTCFullYear();
    const twoDigits = (number) => String(number).padStart(2, "0");
    const number = (style, value) => (style === "2-digit" ? twoDigits(value % 100) : String(value));
    const month = local.getUTCMonth();
    const parts = [];
    const add = (type, value, separator) => {
      if (parts.length > 0 && separator) parts.push({ type: "literal", value: separator });
      parts.push({ type, value });
    };
    const named = ["long", "short", "narrow"].includes(options.month);
    if (options.weekday) {
      const name = WEEKDAYS[local.getUTCDay()];
      add("weekday", options.weekday === "long" ? name : options.weekday === "short" ? name.slice(0, 3) : name[0]);
    }
    if (options.month) {
      const name = MONTHS[month];
      const value = named
        ? { long: name, short: name.slice(0, 3), narrow: name[0] }[options.month]
        : number(options.month, month + 1);
      add("month", value, ", ");
    }
    if (options.day) add("day", number(options.day, local.getUTCDate()), named ? " " : "/");
    if (options.year)
      add("year", number(options.year, year > 0 ? year : 1 - year), named ? (options.day ? ", " : " ") : "/");
    if (options.era) add("era", year > 0 ? "AD" : "BC", " ");
    if (options.hour) {
      const twelve = options.hour12 ?? (options.hourCycle ? options.hourCycle.startsWith("h1") : true);
      const hour = local.getUTCHours();
      add("hour", number(twelve ? options.hour : "2-digit", twelve ? hour % 12 || 12 : hour), ", ");
      if (options.minute) add("minute", twoDigits(local.getUTCMinutes()), ":");
      if (options.second) add("second", twoDigits(local.getUTCSeconds()), ":");
      if (twelve) add("dayPeriod", hour < 12 ? "AM" : "PM", "\u202f");
    } else {
      if (options.minute) add("minute", String(local.getUTCMinutes()), ", ");
      if (options.second) add("second", String(local.getUTCSeconds()), options.minute ? ":" : ", ");
    }
    if (options.timeZoneName) add("timeZoneName", zoneName(minutes), " ");
    return parts;
  }

  format(date) {
    return this.formatToParts(date)
      .map((part) => part.value)
      .join("");
  }
}

function zoneName(minutes) {
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  const rest = size % 60 ? `:${String(size % 60).padStart(2, "0")}` : "";
  return `GMT${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
}

// Groups and decimals, by language.
const MARKS = { de: [".", ","], es: [".", ","], it: [".", ","], nl: [".", ","], pt: [".", ","], fr: ["\u202f", ","] };

class NumberFormat {
  constructor(locale, options = {}) {
    this.options = options;
    [this.group, this.point] = MARKS[String(locale).slice(0, 2)] ?? [",", "."];
  }

  format(value) {
    const { minimumIntegerDigits = 1, minimumFractionDigits = 0, useGrouping = true } = this.options;
    const {
      style,
      currency = "USD",
      maximumFractionDigits = Math.max(minimumFractionDigits, style === "currency" ? 2 : 3),
    } = this.options;
    const least = style === "currency" ? (this.options.minimumFractionDigits ?? 2) : minimumFractionDigits;
    const number = style === "percent" ? value * 100 : value;
    const size = Math.abs(number);
    let [whole, fraction = ""] = (size < 1e21 ? size.toFixed(maximumFractionDigits) : BigInt(size).toString()).split(
      ".",
    );
    while (fraction.length > least && fraction.endsWith("0")) fraction = fraction.slice(0, -1);
    whole = whole.padStart(minimumIntegerDigits, "0");
    if (useGrouping) whole = whole.replace(/\B(?=(\d{3})+$)/g, this.group);
    const sign = number < 0 ? "-" : "";
    const symbol = style === "currency" ? ({ USD: "$", EUR: "€", GBP: "£", JPY: "¥" }[currency] ?? `${currency} `) : "";
    return `${sign}${symbol}${whole}${fraction ? this.point + fraction : ""}${style === "percent" ? "%" : ""}`;
  }
}

globalThis.Intl = { DateTimeFormat, NumberFormat };
Object.defineProperty(Number.prototype, "toLocaleString", {
  value(locale = "en-US", options = undefined) {
    return new NumberFormat(locale, options).format(Number(this));
  },
});
for (const [name, defaults] of Object.entries({
  toLocaleDateString: { year: "numeric", month: "numeric", day: "numeric" },
  toLocaleTimeString: { hour: "numeric", minute: "2-digit", second: "2-digit" },
  toLocaleString: {
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
    second: "2-digit",
  },
})) {
  Object.defineProperty(Date.prototype, name, {
    value(_locale, options = {}) {
      const { timeZone, hour12, ...parts } = options;
      return new DateTimeFormat("en-US", {
        ...(Object.keys(parts).length > 0 ? parts : defaults),
        timeZone,
        hour12,
      }).format(this);
    },
  });
}

// Texts are compared as people expect: first by letters, then by accents, then small before capital letters.
Object.defineProperty(String.prototype, "localeCompare", {
  value(other) {
    const levels = [
      (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase(),
      (text) => text.normalize("NFD").toLowerCase(),
      (text) => [...text].map((letter) => (letter === letter.toLowerCase() ? "0" : "1")).join(""),
    ];
    for (const level of levels) {
      const [a, b] = [level(String(this)), level(String(other))];
      if (a !== b) return a < b ? -1 : 1;
    }
    return 0;
  },
});
