// What showdown expects: it writes to `module.exports`, and makes a console of its own where there is none.

globalThis.module = { exports: {} };
globalThis.console = undefined;
