// What Notion's pages consist of: properties, blocks, and conditions that search for them.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";

/** Return a date as Notion wants it; without an offset, it is in the workflow's time zone. */
function dateText(value, { includeTime = true, timezone = "default" } = {}) {
  const zone = timezone === "default" || timezone === "" ? undefined : timezone;
  // Dates of expressions are objects.
  const text = String(value?.toJSON?.() ?? value ?? "");
  const exact = DateTime.fromISO(text, { zone });
  const date = exact.isValid ? exact : DateTime.fromJSDate(new Date(text), { zone });
  if (!date.isValid) return "Invalid date";
  return includeTime === false ? date.toISODate() : date.set({ millisecond: 0 }).toISO({ suppressMilliseconds: true });
}

/** Return the elements of a list that may be a text with commas. */
function elements(value) {
  if (value === undefined || value === null || value === "") return [];
  return Array.isArray(value)
    ? value
    : String(value)
        .split(",")
        .map((part) => part.trim());
}

const plain = (content) => [{ text: { content } }];

/** Return a formatted text, which consists of parts with annotations. */
function formatted({ text = [] } = {}) {
  return text.map(({ textType = "text", text: content = "", isLink, textLink, annotationUi = {} }) => {
    if (textType !== "text") throw new NodeError(`A part '${textType}' of a text is not supported`);
    const link = isLink ? { link: { url: textLink } } : {};
    return { type: "text", text: { content, ...link }, annotations: annotationUi };
  });
}

const textOf = ({ richText, text, textContent }) => (richText === true ? formatted(text) : plain(textContent));

// How properties are written, by their type: the value of a property, of what n8n has for it.
const WRITTEN = {
  title: ({ title }) => ({ title: plain(title) }),
  rich_text: (value) => ({ rich_text: textOf(value) }),
  number: ({ numberValue }) => typed("number", numberValue),
  checkbox: ({ checkboxValue = false }) => typed("checkbox", checkboxValue),
  select: ({ selectValue }) => typed("select", { name: selectValue }),
  status: ({ statusValue }) => typed("status", { name: statusValue }),
  multi_select: ({ multiSelectValue }) =>
    typed(
      "multi_select",
      elements(multiSelectValue).map((name) => ({ name })),
    ),
  relation: ({ relationValue }) =>
    typed(
      "relation",
      elements(relationValue).map((id) => ({ id })),
    ),
  people: ({ peopleValue }) =>
    typed(
      "people",
      elements(peopleValue).map((id) => ({ id })),
    ),
  url: ({ urlValue }) => typed("url", urlValue),
  email: ({ emailValue }) => typed("email", emailValue),
  phone_number: ({ phoneValue }) => typed("phone_number", phoneValue),
  date: (value) => typed("date", periodOf(value)),
  files: ({ fileUrls }) => typed("files", (fileUrls?.fileUrl ?? []).map(externalFile)),
};

function typed(type, value) {
  return { type, [type]: value };
}

const externalFile = ({ name, url }) => ({ name, type: "external", external: { url } });

function periodOf(value) {
  return value.range === true
    ? { start: dateText(value.dateStart, value), end: dateText(value.dateEnd, value) }
    : { start: dateText(value.date, value), end: null };
}

/** Return the properties of a page. The key of each has its name and its type. */
export function propertiesOf(values) {
  const properties = {};
  for (const value of values) {
    const [name, type] = nameAndType(value.key);
    if (type === "url" && value.ignoreIfEmpty === true && !value.urlValue) continue;
    if (type && !WRITTEN[type]) throw new NodeError(`A property of type '${type}' cannot be written`);
    properties[name] = type ? WRITTEN[type](value) : {};
  }
  return properties;
}

/** The name itself may have a "|". */
function nameAndType(key = "") {
  const end = String(key).lastIndexOf("|");
  return end < 0 ? [key, ""] : [key.slice(0, end), key.slice(end + 1)];
}

export const blocksOf = (values) =>
  values.map(({ type = "paragraph", ...value }) => ({ object: "block", type, [type]: contentOf(type, value) }));

function contentOf(type, { url, title, checked = false, ...value }) {
  if (["image", "video", "audio"].includes(type)) return { type: "external", external: { url } };
  if (type === "child_page") return { title };
  return { ...(type === "to_do" ? { checked } : {}), text: textOf(value) };
}

// Where n8n has the value of a condition, if it is not <type>Value.
const CONDITION_VALUES = { date: "date", created_time: "createdTimeValue", last_edited_time: "lastEditedTime" };
// What conditions call types that have another name in this version of Notion's API.
const CONDITION_TYPES = { rich_text: "text", phone_number: "phone" };
const DATES = ["date", "created_time", "last_edited_time"];

/** Return a condition of a search, such as {property: "Number", number: {greater_than: 5}}. */
export function conditionOf(value) {
  const [property, type] = nameAndType(value.key);
  if (type === "formula") {
    const { returnType = "text" } = value;
    return { property, formula: { [returnType]: testOf(value.condition, returnType, value) } };
  }
  return { property, [CONDITION_TYPES[type] ?? type]: testOf(value.condition, type, value) };
}

function testOf(condition, type, value) {
  if (condition === "is_empty" || condition === "is_not_empty") return { [condition]: true };
  if (/^(past|this|next)_/.test(condition)) return { [condition]: {} };
  const place = CONDITION_VALUES[type] ?? `${type.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())}Value`;
  const wanted = type === "checkbox" ? (value[place] ?? false) : value[place];
  return { [condition]: DATES.includes(type) ? dateText(wanted) : wanted };
}

const plainText = (parts) => (parts ?? []).map((part) => part.plain_text ?? "").join("");

/** Return a page or a database with its properties as plain values. */
export function simple({ object, id, url, title, properties }) {
  if (object === "database") return { id, name: plainText(title), url };
  const named = Object.entries(properties).map(([name, value]) => [`property_${snakeCase(name)}`, simpleValue(value)]);
  const titled = Object.values(properties).find(({ type }) => type === "title");
  return { id, name: plainText(titled?.title), url, ...Object.fromEntries(named) };
}

const snakeCase = (name) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .replace(/^_|_$/g, "")
    .toLowerCase();

function simpleValue(property) {
  const { type, [type]: value } = property;
  switch (type) {
    case "title":
    case "rich_text":
      return plainText(value);
    case "select":
    case "status":
      return value?.name ?? null;
    case "multi_select":
      return value.map(({ name }) => name);
    case "people":
      return value.map(({ person }) => person?.email ?? {});
    case "relation":
      return value.map(({ id }) => id);
    case "files":
      return value.map((file) => file[file.type]?.url);
    case "formula":
      return value[value.type];
    case "rollup":
      return value.type === "array" ? value.array.map(simpleValue) : value[value.type];
    default:
      return value;
  }
}
