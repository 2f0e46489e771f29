// Bytes as text and text as bytes. Bytes are a text of letters up to \xff, as atob gives them.

import { NodeError } from "../errors.js";

// What windows-1252 has from \x80 on; other letters up to \xff are those of latin1.
const WINDOWS = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

const NAMES = {
  utf8: "utf8",
  latin1: "latin1",
  binary: "latin1",
  iso88591: "latin1",
  ascii: "ascii",
  ucs2: "utf16le",
  utf16le: "utf16le",
  utf16: "utf16le",
  utf16be: "utf16be",
  windows1252: "windows1252",
  cp1252: "windows1252",
  base64: "base64",
  hex: "hex",
};

function known(encoding) {
  const name =
    NAMES[
      String(encoding)
        .toLowerCase()
        .replace(/[^a-z0-9]/g, "")
    ];
  if (!name) throw new NodeError(`The encoding '${encoding}' is not supported`);
  return name;
}

/** Return the text of bytes. Without an encoding, bytes that are not UTF-8 are those of Western European texts. */
export function decoded(bytes, encoding) {
  if (encoding === undefined) {
    if (bytes.startsWith("\xff\xfe")) return utf16(bytes, 1);
    return isUtf8(bytes) ? utf8(bytes) : windows1252(bytes);
  }
  return DECODERS[known(encoding)](bytes);
}

const DECODERS = {
  utf8,
  latin1: (bytes) => bytes,
  ascii: (bytes) => bytes.replace(/[\x80-\xff]/g, "\ufffd"),
  windows1252,
  utf16le: (bytes) => utf16(bytes, 1),
  utf16be: (bytes) => utf16(bytes, 0),
  base64: btoa,
  hex: (bytes) => bytes.replace(/[^]/g, (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")),
};

function windows1252(bytes) {
  return bytes.replace(/[\x80-\x9f]/g, (letter) => WINDOWS[letter.charCodeAt(0) - 128]);
}

function isUtf8(bytes) {
  try {
    decodeURIComponent(escape(bytes));
    return true;
  } catch {
    return false;
  }
}

const SEQUENCES =
  /[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g;

function utf8(bytes) {
  if (isUtf8(bytes)) return decodeURIComponent(escape(bytes));
  return bytes.replace(SEQUENCES, (found) => (found.length > 1 ? decodeURIComponent(escape(found)) : "\ufffd"));
}

/** `high` is the place of the higher one of a letter's two bytes. */
const utf16 = (bytes, high) =>
  bytes
    .slice(0, bytes.length - (bytes.length % 2))
    .replace(/[^]{2}/g, (pair) => String.fromCharCode((pair.charCodeAt(high) << 8) | pair.charCodeAt(1 - high)));

/** Return the bytes of a text. Letters that an encoding does not have become question marks. */
export const encoded = (text, encoding = "utf8") => ENCODERS[known(encoding)](text);

const ENCODERS = {
  utf8: (text) => unescape(encodeURIComponent(text.toWellFormed())),
  latin1: (text) => text.replace(/[^\x00-\xff]/g, "?"),
  ascii: (text) => text.replace(/[^\x00-\x7f]/g, "?"),
  windows1252: (text) =>
    text.replace(/[^\x00-\x7f\xa0-\xff]/g, (letter) => {
      const place = WINDOWS.indexOf(letter);
      return place < 0 ? "?" : String.fromCharCode(128 + place);
    }),
  utf16le: (text) => text.replace(/[^]/g, (letter) => pair(letter.charCodeAt(0) & 255, letter.charCodeAt(0) >> 8)),
  utf16be: (text) => text.replace(/[^]/g, (letter) => pair(letter.charCodeAt(0) >> 8, letter.charCodeAt(0) & 255)),
  base64: bytesOfBase64,
  hex: (text) =>
    (/^(?:[\da-f]{2})*/i.exec(text)[0].match(/../g) ?? [])
      .map((digits) => String.fromCharCode(Number.parseInt(digits, 16)))
      .join(""),
};

const pair = (first, second) => String.fromCharCode(first, second);

/** Return the bytes of base64, also of one with other letters in it or without its end. */
export function bytesOfBase64(text) {
  const letters = text
    .replace(/-/g, "+")
    .replace(/_/g, "/")
    .replace(/=[^]*/, "")
    .replace(/[^A-Za-z\d+/]/g, "");
  const whole = letters.length % 4 === 1 ? letters.slice(0, -1) : letters;
  return atob(whole.padEnd(Math.ceil(whole.length / 4) * 4, "="));
}
