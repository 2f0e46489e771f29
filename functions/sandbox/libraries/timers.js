export const setImmediate = (work) => Promise.resolve().then(work);
