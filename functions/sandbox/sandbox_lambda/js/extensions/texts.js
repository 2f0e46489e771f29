// Methods of texts.

import { ExpressionError } from "../errors.js";
import { toDate } from "./dates.js";

function converted(number, message) {
  if (Number.isNaN(number)) throw new ExpressionError(message);
  return number;
}

const SMALL_WORDS = new Set(
  (
    "a an and as at because but by en for if in neither nor of on only or over per so some than that the to up upon v " +
    "versus via vs when with without yet"
  ).split(" "),
);

/** Words with a capital after their start stay as they are; small words get one only as first or last word. */
function titleCase(text) {
  const parts = text.split(/(\s+)/);
  const places = parts.flatMap((part, index) => (part.trim() ? [index] : []));
  return parts
    .map((word, index) => {
      if (!word.trim() || /\p{Ll}\p{Lu}|\p{Lu}.*\p{Lu}|\..+\p{L}|:\/\//u.test(word)) return word;
      if (SMALL_WORDS.has(word) && index !== places[0] && index !== places.at(-1)) return word;
      return word.replace(/\p{L}/u, (letter) => letter.toUpperCase());
    })
    .join("");
}

export const STRINGS = {
  toTitleCase: titleCase,
  toSentenceCase: (text) =>
    text.toLowerCase().replace(/(^\s*|[.!?]\s+)([a-z])/g, (_, before, letter) => before + letter.toUpperCase()),
  toSnakeCase: (text) =>
    text
      .toLowerCase()
      .replace(/[ -]/g, "_")
      .replace(/[^\p{L}\p{N}_]/gu, ""),
  isEmpty: (text) => text === "",
  isNotEmpty: (text) => text !== "",
  isNumeric: (text) => text.trim() !== "" && !Number.isNaN(Number(text)) && !/\s/.test(text),
  isEmail: (text) => /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text),
  isUrl: (text) =>
    /^https?:\/\/(?:[^\s/@]+@)?(?:localhost|(?:[\p{L}\d-]+\.)+\p{L}{2,}|\d+(?:\.\d+){3})(?::\d+)?(?:[/?#]\S*)?$/iu.test(
      text,
    ),
  isDomain: (text) => /^(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,}$/i.test(text),
  toNumber: (text) => converted(Number(text), "cannot convert to number"),
  toInt: (text, radix) => converted(Number.parseInt(text, radix), "cannot convert to integer"),
  toWholeNumber: (text, radix) => Number.parseInt(text, radix),
  toFloat(text) {
    if (text.includes(",")) throw new ExpressionError("cannot convert to float, expected . as decimal separator");
    return converted(Number.parseFloat(text), "cannot convert to float");
  },
  toDecimalNumber: (text) => Number.parseFloat(text),
  toBoolean: (text) => !["false", "no", "0", ""].includes(text.toLowerCase()),
  toDateTime: (text) => toDate(text),
  toDate: (text) => toDate(text).toJSDate(),
  removeTags: (text) => text.replace(/<[^>]*>/g, ""),
  removeMarkdown: (text) =>
    text
      .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/^\s{0,3}(#{1,6}|>|[-*+])\s+/gm, "")
      .replace(/([*_~`])(\S(?:.*?\S)??)\1/g, "$2"),
  replaceSpecialChars: (text) =>
    text
      .normalize("NFD")
      .replace(/\p{M}/gu, "")
      .replace(/ß/g, "ss")
      .replace(/ø/g, "o")
      .replace(/Ø/g, "O")
      .replace(/æ/g, "ae")
      .replace(/Æ/g, "AE"),
  extractEmail: (text) => /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/.exec(text)?.[0],
  extractDomain: (text) =>
    /^(?:[a-z][a-z\d+.-]*:\/\/)?(?:[^\s@/]+@)?((?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,})/i.exec(text.trim())?.[1],
  extractUrl: (text) => /https?:\/\/[^\s<>"']+/i.exec(text)?.[0],
  extractUrlPath: (text) =>
    /^https?:\/\/[^/?#]+([^?#]*)/i.exec(text)?.[1] || (/^https?:/i.test(text) ? "/" : undefined),
  urlEncode: (text, whole) => (whole ? encodeURI(text) : encodeURIComponent(text)),
  urlDecode: (text, whole) => (whole ? decodeURI(text) : decodeURIComponent(text)),
  base64Encode: (text) => btoa(unescape(encodeURIComponent(text))),
  base64Decode: (text) => decodeURIComponent(escape(atob(text))),
  quote: (text, mark = '"') => mark + text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`) + mark,
  parseJson(text) {
    try {
      return JSON.parse(text);
    } catch {
      throw new ExpressionError("Parsing failed");
    }
  },
  hash: (text, algorithm = "md5") => globalThis.__hash(String(algorithm), text, null),
  toJsonString: (text) => JSON.stringify(text),
};
