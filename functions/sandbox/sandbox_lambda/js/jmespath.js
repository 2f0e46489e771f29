// jmespath is written for CommonJS.

import "./commonjs.js";
import "./vendor/jmespath.js";

const { exports: jmespath } = globalThis;
delete globalThis.exports;

export default jmespath;
