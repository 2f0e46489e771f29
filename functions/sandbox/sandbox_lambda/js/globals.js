// What Code nodes find besides JavaScript itself. Nothing of it reaches outside.

const UTF8 = {
  encode: (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (letter) => letter.charCodeAt(0)),
};

/** Read bytes as text in parts: a call has a limited number of arguments. */
function latin1(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8_192)
    text += String.fromCharCode(...bytes.subarray(start, start + 8_192));
  return text;
}

function utf8(bytes) {
  try {
    return decodeURIComponent(escape(latin1(bytes)));
  } catch {
    return latin1(bytes).replace(/[\x80-\xff]+/g, "\ufffd");
  }
}

class Buffer extends Uint8Array {
  static from(value, encoding = "utf8") {
    if (typeof value !== "string") return super.from(value instanceof ArrayBuffer ? new Uint8Array(value) : value);
    if (encoding === "base64" || encoding === "base64url") {
      const padded = value
        .replace(/-/g, "+")
        .replace(/_/g, "/")
        .replace(/[^A-Za-z\d+/]/g, "");
      return super.from(atob(padded.padEnd(Math.ceil(padded.length / 4) * 4, "=")), (letter) => letter.charCodeAt(0));
    }
    if (encoding === "hex") return super.from(value.match(/[\da-f]{2}/gi) ?? [], (pair) => Number.parseInt(pair, 16));
    if (["latin1", "binary", "ascii"].includes(encoding))
      return super.from(value, (letter) => letter.charCodeAt(0) & 255);
    return super.from(UTF8.encode(value));
  }

  static alloc(size, fill = 0) {
    return new Buffer(size).fill(fill);
  }

  static concat(buffers) {
    return Buffer.from(buffers.flatMap((buffer) => [...buffer]));
  }

  static isBuffer(value) {
    return value instanceof Buffer;
  }

  static byteLength(text, encoding) {
    return Buffer.from(text, encoding).length;
  }

  toString(encoding = "utf8") {
    if (encoding === "hex") return [...this].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (encoding === "base64") return btoa(latin1(this));
    if (encoding === "base64url") return btoa(latin1(this)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
    return ["latin1", "binary", "ascii"].includes(encoding) ? latin1(this) : utf8(this);
  }

  toJSON() {
    return { type: "Buffer", data: [...this] };
  }
}

class TextEncoder {
  encode(text = "") {
    return UTF8.encode(String(text));
  }
}

class TextDecoder {
  decode(bytes = []) {
    return utf8(new Uint8Array(bytes));
  }
}

const SILENT = Object.fromEntries(["log", "info", "warn", "error", "debug"].map((name) => [name, () => {}]));

export const GLOBALS = {
  Buffer,
  TextEncoder,
  TextDecoder,
  console: SILENT,
  /** There is no clock to wait for: the function runs as soon as the code awaits something. */
  setTimeout: (run, _milliseconds, ...values) => void Promise.resolve().then(() => run(...values)),
  clearTimeout: () => {},
  require(name) {
    throw new Error(`Module '${name}' is disallowed`);
  },
};
