// Helpers for values: paths, copies, comparison, merging and sorting as n8n does them.

export function isPlainObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Split "a.b[0]['c d']" into its keys. */
function pathKeys(path) {
  if (Array.isArray(path)) return path;
  const keys = [];
  const pattern = /[^.[\]]+|\[(?:(-?\d+)|(["'])((?:(?!\2)[^\\]|\\.)*?)\2)\]|(?=(?:\.|\[\])(?:\.|\[\]|$))/g;
  String(path).replace(pattern, (match, number, quote, text) => {
    keys.push(quote ? text.replace(/\\(\\)?/g, "$1") : number !== undefined ? number : match);
  });
  return keys;
}

/** Return the value at a path, or undefined. A key that is the whole path comes first. */
export function get(object, path) {
  if (object === null || object === undefined) return undefined;
  if (Object.hasOwn(Object(object), path)) return object[path];
  let value = object;
  for (const key of pathKeys(path)) {
    if (value === null || value === undefined) return undefined;
    value = value[key];
  }
  return value;
}

const UNSAFE_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/** Set the value at a path; missing objects and lists on the way are made. */
export function set(object, path, value) {
  const keys = Object.hasOwn(object, path) ? [path] : pathKeys(path);
  if (keys.some((key) => UNSAFE_KEYS.has(key))) return object;
  let target = object;
  keys.slice(0, -1).forEach((key, index) => {
    if (typeof target[key] !== "object" || target[key] === null) target[key] = /^\d+$/.test(keys[index + 1]) ? [] : {};
    target = target[key];
  });
  if (keys.length > 0) target[keys.at(-1)] = value;
  return object;
}

export function unset(object, path) {
  const keys = Object.hasOwn(object, path) ? [path] : pathKeys(path);
  const parent = keys.length > 1 ? get(object, keys.slice(0, -1)) : object;
  if (typeof parent === "object" && parent !== null) delete parent[keys.at(-1)];
}

export function copy(value) {
  if (Array.isArray(value)) return value.map(copy);
  if (value instanceof Date) return new Date(value.getTime());
  if (!isPlainObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, nested]) => [key, copy(nested)]));
}

export function isEqual(a, b) {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]));
}

/** Return a text that is the same for equal values, whatever the order of their keys. */
export function keyText(value) {
  return JSON.stringify(value, (_, nested) => {
    if (nested === undefined) return { $undefined: true };
    if (typeof nested === "number" && !Number.isFinite(nested)) return { $number: String(nested) };
    return isPlainObject(nested)
      ? Object.fromEntries(Object.entries(nested).sort(([a], [b]) => (a < b ? -1 : 1)))
      : nested;
  });
}

/** Merge objects from left to right, into nested objects and lists. Undefined changes nothing. */
export function mergeDeep(target, ...sources) {
  for (const source of sources) {
    for (const [key, value] of Object.entries(source ?? {})) {
      if (value === undefined || UNSAFE_KEYS.has(key)) continue;
      const old = target[key];
      if (Array.isArray(value)) target[key] = mergeLists(Array.isArray(old) ? old : [], value);
      else if (isPlainObject(value)) target[key] = mergeDeep(isPlainObject(old) ? old : {}, value);
      else target[key] = value;
    }
  }
  return target;
}

function mergeLists(old, list) {
  const merged = mergeDeep({ ...old }, { ...list });
  return Array.from({ length: Math.max(old.length, list.length) }, (_, index) => merged[index]);
}

/** Flatten nested objects to one level, with keys such as "a.b". */
export function flattened(object, prefix = "") {
  const flat = {};
  for (const [key, value] of Object.entries(object)) {
    const path = prefix ? `${prefix}.${key}` : key;
    if (typeof value === "object" && value !== null && Object.keys(value).length > 0 && !(value instanceof Date)) {
      Object.assign(flat, flattened(value, path));
    } else flat[path] = value;
  }
  return flat;
}

/**
 * Sort as V8 does. Comparators that contradict themselves (missing values) give its order for lists of up to 63
 * elements: there, V8 sorts by binary insertion into the first run.
 */
export function sorted(list, compare) {
  const result = [...list];
  if (result.length >= 64) return mergeSorted(result, compare);
  let run = 1;
  if (result.length > 1) {
    const descending = compare(result[1], result[0]) < 0;
    run = 2;
    while (run < result.length && compare(result[run], result[run - 1]) < 0 === descending) run += 1;
    if (descending) result.splice(0, run, ...result.slice(0, run).reverse());
  }
  for (let start = run; start < result.length; start += 1) {
    const pivot = result[start];
    let [left, right] = [0, start];
    while (left < right) {
      const middle = left + ((right - left) >> 1);
      if (compare(pivot, result[middle]) < 0) right = middle;
      else left = middle + 1;
    }
    result.splice(start, 1);
    result.splice(left, 0, pivot);
  }
  return result;
}

function mergeSorted(list, compare) {
  if (list.length < 2) return list;
  const middle = list.length >> 1;
  const [left, right] = [mergeSorted(list.slice(0, middle), compare), mergeSorted(list.slice(middle), compare)];
  const merged = [];
  let [l, r] = [0, 0];
  while (l < left.length && r < right.length) merged.push(compare(right[r], left[l]) < 0 ? right[r++] : left[l++]);
  return [...merged, ...left.slice(l), ...right.slice(r)];
}

/** Read a comma-separated list of field names, or a list. */
export function fieldNames(text) {
  if (Array.isArray(text)) return text;
  return String(text ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
