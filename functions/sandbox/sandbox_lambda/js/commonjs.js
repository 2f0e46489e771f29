// What libraries that are no modules expect: some write to `exports` and some to `module.exports`, and one to `console`.

globalThis.exports = {};
globalThis.module = { exports: {} };
globalThis.console = undefined;
