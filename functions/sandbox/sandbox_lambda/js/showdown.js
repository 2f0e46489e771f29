// showdown is written for CommonJS.

import "./commonjs_module.js";
import "./vendor/showdown.js";

const { Converter } = globalThis.module.exports;
delete globalThis.module;
delete globalThis.console;

export { Converter };
