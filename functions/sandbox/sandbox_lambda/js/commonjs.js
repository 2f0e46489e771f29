// What a CommonJS module writes its exports to.

globalThis.exports = {};
