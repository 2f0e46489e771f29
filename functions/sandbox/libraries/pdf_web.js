// What the reader of PDF expects of a browser, besides web.js: streams, copies of messages, and names of what draws pages.

import { ReadableStream } from "web-streams-polyfill";

/** Its two halves send each other objects, which they change afterwards. Bytes stay the same. */
const structuredClone = (value) => copyOf(value, new Map());

function copyOf(value, copies) {
  const isPlain = typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
  if (!isPlain || value instanceof ArrayBuffer || value instanceof Date || value instanceof Error) return value;
  if (copies.has(value)) return copies.get(value);
  const again = (nested) => copyOf(nested, copies);
  const copy = Array.isArray(value) ? [] : value instanceof Map ? new Map() : value instanceof Set ? new Set() : {};
  copies.set(value, copy);
  if (copy instanceof Map) for (const [key, nested] of value) copy.set(again(key), again(nested));
  else if (copy instanceof Set) for (const nested of value) copy.add(again(nested));
  else for (const key of Object.keys(value)) copy[key] = again(value[key]);
  return copy;
}

class AbortSignal {
  constructor() {
    Object.assign(this, { aborted: false, listeners: [] });
  }

  addEventListener(_, listener) {
    this.listeners.push(listener);
  }

  removeEventListener(_, listener) {
    this.listeners = this.listeners.filter((one) => one !== listener);
  }

  throwIfAborted() {
    if (this.aborted) throw this.reason;
  }
}

class AbortController {
  constructor() {
    this.signal = new AbortSignal();
  }

  abort(reason) {
    Object.assign(this.signal, { aborted: true, reason });
    for (const listener of this.signal.listeners) listener({ type: "abort" });
  }
}

const DRAWN = Object.fromEntries(
  ["DOMMatrix", "ImageData", "OffscreenCanvas", "Path2D", "URL"].map((name) => [name, class {}]),
);

Object.assign(globalThis, { ...DRAWN, AbortController, AbortSignal, ReadableStream, structuredClone });
globalThis.navigator ??= { platform: "", userAgent: "" };
globalThis.self ??= globalThis;
