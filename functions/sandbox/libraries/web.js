// What the reader of mail expects of a browser: texts of bytes in all encodings of the web, and files in memory.

import { TextDecoder, TextEncoder } from "@exodus/bytes/encoding.js";

const bytesOf = (part) => {
  if (typeof part === "string") return new TextEncoder().encode(part);
  return ArrayBuffer.isView(part)
    ? new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
    : new Uint8Array(part);
};

class Blob {
  constructor(parts = []) {
    this.parts = parts.map(bytesOf);
  }

  async arrayBuffer() {
    const bytes = new Uint8Array(this.parts.reduce((size, part) => size + part.length, 0));
    let place = 0;
    for (const part of this.parts) {
      bytes.set(part, place);
      place += part.length;
    }
    return bytes.buffer;
  }
}

Object.assign(globalThis, { TextDecoder, TextEncoder, Blob });
