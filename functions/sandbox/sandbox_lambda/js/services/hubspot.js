// HubSpot, version 2: contacts, deals, companies and engagements.

import { NodeError } from "../errors.js";
import { encodedUrl, exchange, HttpError, jsonOf } from "../requests.js";
import { COMPANY_FIELDS, CONTACT_FIELDS, DEAL_FIELDS, propertiesOf } from "./hubspot_fields.js";
import { defined, forEachItem, idOf } from "./items.js";

const API = "https://api.hubapi.com";
const CREDENTIALS = { apiKey: "hubspotApi", appToken: "hubspotAppToken", oAuth2: "hubspotOAuth2Api" };
const PAGE = 100;

const OPERATIONS = {
  contact: {
    upsert,
    get: getContact,
    getAll: (call, index) => listContacts(call, index, "all/contacts/all"),
    getRecentlyCreatedUpdated: (call, index) => listContacts(call, index, "recently_updated/contacts/recent"),
    search: searchContacts,
    delete: deleteContact,
  },
  deal: { create: createDeal, get: getDeal, getAll: listDeals },
  company: { create: createCompany, update: updateCompany },
  engagement: { create: createEngagement },
};
const DEFAULTS = { contact: "upsert", deal: "create", company: "create", engagement: "create" };

export function hubspotNode(call) {
  const resource = call.param("resource", 0, "contact");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (call.version < 2 || !work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  try {
    return [forEachItem(call, (index) => work(call, index))];
  } catch (error) {
    throw error instanceof HttpError ? new NodeError(messageOf(call, resource, error)) : error;
  }
}

/** Return the message that stops the run: what is invalid, or what does not exist. */
function messageOf(call, resource, { message, response }) {
  const answer = jsonOf(response);
  if (answer?.validationResults?.[0]) return answer.validationResults[0].message;
  const id = call.node.parameters[`${resource}Id`];
  if (answer?.message !== "resource not found" || id === undefined) return message;
  return `${resource} #${id?.value ?? id} could not be found. Check your ${resource} ID is correct`;
}

function send(call, method, path, fields) {
  const way = call.param("authentication", 0, "apiKey");
  const credentials = CREDENTIALS[way] ?? CREDENTIALS.apiKey;
  return exchange(call, { method, url: encodedUrl(`${API}/${path}`), credentials, ...fields });
}

/**
 * Return what lies in `field` of all pages, or of as many as the node wants. `limited` names the field of the query that
 * says how many; `next` returns the fields of the query for the page after this one, or undefined.
 */
function list(call, index, path, { field, query, limited, next }) {
  if (call.param("returnAll", index, false) !== true) {
    const limit = call.param("limit", index, 100);
    return send(call, "GET", path, { query: { ...query, [limited]: limit } })[field];
  }
  const found = [];
  let place = {};
  while (place) {
    const page = send(call, "GET", path, {
      query: { ...query, limit: 250, count: PAGE, ...place },
      body: { limit: PAGE },
    });
    found.push(...page[field]);
    place = next(page);
  }
  return found;
}

const snakeCase = (text) => String(text).replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Return the query for what a contact has: `name` is that of the field with the properties. */
function contactQuery({ propertiesCollection, formSubmissionMode, showListMemberships }, name) {
  const { properties, propertyMode } = propertiesCollection?.propertiesValues ?? {};
  return defined({
    [name]: properties,
    propertyMode: propertyMode && snakeCase(propertyMode),
    formSubmissionMode: formSubmissionMode && snakeCase(formSubmissionMode),
    showListMemberships,
  });
}

const contactPath = (call, index) => `contacts/v1/contact/vid/${idOf(call, "contactId", index)}`;

/** Write a contact, and return it. */
function upsert(call, index) {
  const properties = propertiesOf(CONTACT_FIELDS, call.param("additionalFields", index, {}), "property");
  // A URL has no line breaks.
  const email = String(call.param("email", index, "")).replace(/[\t\n\r]/g, "");
  const path = `contacts/v1/contact/createOrUpdate/email/${email}`;
  const { vid, isNew } = send(call, "POST", path, { body: { properties } });
  return { ...send(call, "GET", `contacts/v1/contact/vid/${vid}/profile`), isNew };
}

function getContact(call, index) {
  const query = contactQuery(call.param("additionalFields", index, {}), "properties");
  return send(call, "GET", `${contactPath(call, index)}/profile`, { query });
}

function listContacts(call, index, path) {
  return list(call, index, `contacts/v1/lists/${path}`, {
    field: "contacts",
    query: contactQuery(call.param("additionalFields", index, {}), "property"),
    limited: "count",
    next: (page) => (page["has-more"] ? defined({ vidOffset: page["vid-offset"] }) : undefined),
  });
}

function deleteContact(call, index) {
  return send(call, "DELETE", contactPath(call, index), { body: {} });
}

/** The name of a property stands before its type: email|string. */
function filterOf({ propertyName = "", operator = "EQ", ...rest }) {
  return { propertyName: String(propertyName).split("|")[0], operator, ...rest };
}

function searchContacts(call, index) {
  const fields = call.param("additionalFields", index, {});
  const groups = call.param("filterGroupsUi", index, {}).filterGroupsValues ?? [];
  const { sortBy = "createdate", direction = "DESCENDING" } = fields;
  const body = {
    ...fields,
    sorts: [{ propertyName: sortBy, direction }],
    filterGroups: groups.map(({ filtersUi }) => ({ filters: (filtersUi?.filterValues ?? []).map(filterOf) })),
  };
  const path = "crm/v3/objects/contacts/search";
  if (call.param("returnAll", index, false) !== true)
    return send(call, "POST", path, { body: { ...body, limit: call.param("limit", index, 100) } }).results;
  const found = [];
  let after;
  do {
    const query = { limit: 250, count: PAGE };
    const page = send(call, "POST", path, { query, body: defined({ ...body, limit: PAGE, after }) });
    found.push(...page.results);
    after = page.paging?.next?.after;
  } while (after);
  return found;
}

/** Return a list of ids of a text with commas. */
const ids = (value) =>
  String(value)
    .split(",")
    .map((id) => id.trim());

function createDeal(call, index) {
  const { associatedCompany, associatedVids, ...fields } = call.param("additionalFields", index, {});
  const stage = { name: "dealstage", value: call.param("stage", index, "") };
  const associations = defined({ associatedCompanyIds: associatedCompany, associatedVids });
  const body = { properties: [stage, ...propertiesOf(DEAL_FIELDS, fields, "name")], associations };
  return send(call, "POST", "deals/v1/deal", { body });
}

function getDeal(call, index) {
  const { includePropertyVersions } = call.param("filters", index, {});
  return send(call, "GET", `deals/v1/deal/${idOf(call, "dealId", index)}`, {
    query: defined({ includePropertyVersions }),
  });
}

function listDeals(call, index) {
  const { includeAssociations, properties, propertiesWithHistory } = call.param("filters", index, {});
  return list(call, index, "deals/v1/deal/paged", {
    field: "deals",
    query: defined({ includeAssociations, properties, propertiesWithHistory }),
    limited: "limit",
    next: (page) => (page.hasMore ? { offset: page.offset } : undefined),
  });
}

function createCompany(call, index) {
  const name = { name: "name", value: call.param("name", index, "") };
  const fields = propertiesOf(COMPANY_FIELDS, call.param("additionalFields", index, {}), "name");
  return send(call, "POST", "companies/v2/companies", { body: { properties: [name, ...fields] } });
}

function updateCompany(call, index) {
  const properties = propertiesOf(COMPANY_FIELDS, call.param("updateFields", index, {}), "name");
  return send(call, "PUT", `companies/v2/companies/${idOf(call, "companyId", index)}`, { body: { properties } });
}

function createEngagement(call, index) {
  const { associations = {} } = call.param("additionalFields", index, {});
  const body = {
    engagement: { type: String(call.param("type", index, "")).toUpperCase() },
    metadata: call.param("metadata", index, {}),
    associations: Object.fromEntries(Object.entries(associations).map(([name, value]) => [name, ids(value)])),
  };
  return send(call, "POST", "engagements/v1/engagements", { body });
}
