// Google Docs, versions 1 and 2: documents, their text, and changes to it.

import { NodeError } from "../errors.js";
import { exchange } from "../requests.js";
import { forEachItem } from "./items.js";

const API = "https://docs.googleapis.com/v1/documents";
const CREDENTIALS = { oAuth2: "googleDocsOAuth2Api", serviceAccount: "googleApi" };
const DOCUMENT_URL = /https:\/\/docs\.google\.com\/document\/d\/([\w-]+)/;

const OPERATIONS = { create, get, update };

export function googleDocsNode(call) {
  const operation = call.param("operation", 0, "create");
  if (!OPERATIONS[operation]) throw new NodeError(`The operation '${operation}' is not supported`);
  return [forEachItem(call, (index) => OPERATIONS[operation](call, index))];
}

function send(call, request) {
  const way = call.param("authentication", 0, call.version < 2 ? "serviceAccount" : "oAuth2");
  return exchange(call, { credentials: CREDENTIALS[way] ?? CREDENTIALS.oAuth2, ...request });
}

/** Return the document's id, which the node has as an id or as a URL. */
function documentOf(call, index) {
  const value = call.param("documentURL", index, "");
  return DOCUMENT_URL.exec(String(value))?.[1] ?? value;
}

const isSimple = (call, index) => call.param("simple", index, true) === true;

function create(call, index) {
  const folder = call.param("folderId", index);
  const body = {
    name: call.param("title", index, ""),
    mimeType: "application/vnd.google-apps.document",
    ...(folder && folder !== "default" ? { parents: [folder] } : {}),
  };
  return send(call, { method: "POST", url: "https://www.googleapis.com/drive/v3/files", body });
}

function get(call, index) {
  const documentId = documentOf(call, index);
  const document = send(call, { url: `${API}/${documentId}` });
  return isSimple(call, index) ? { documentId, content: textOf(document) } : document;
}

/** Return the text of a document's paragraphs. */
function textOf({ body }) {
  const elements = (body?.content ?? []).flatMap(({ paragraph }) => paragraph?.elements ?? []);
  return elements.map(({ textRun }) => textRun?.content ?? "").join("");
}

function update(call, index) {
  const documentId = documentOf(call, index);
  const { actionFields = [] } = call.param("actionsUi", index, {});
  const { writeControlObject } = call.param("updateFields", index, {});
  const body = { requests: actionFields.map(changeOf) };
  if (writeControlObject?.value) {
    const { control = "requiredRevisionId", value } = writeControlObject;
    body.writeControl = { [control]: value };
  }
  const answer = send(call, { method: "POST", url: `${API}/${documentId}:batchUpdate`, body });
  return isSimple(call, index) ? { documentId } : { ...answer, documentId };
}

/** Return the change of a document that an action stands for. */
function changeOf({ action = "insert", object = "text", ...fields }) {
  const { text = "", rows = 0, columns = 0, replaceText = "", matchCase = false } = fields;
  switch (`${action} ${object}`) {
    case "insert text":
      return { insertText: { text, ...placeOf(fields) } };
    case "insert pageBreak":
      return { insertPageBreak: placeOf(fields) };
    case "insert table":
      return { insertTable: { rows, columns, ...placeOf(fields) } };
    case "replaceAll text":
      return { replaceAllText: { replaceText, containsText: { text, matchCase } } };
    default:
      throw new NodeError(`The operation '${action}' of '${object}' is not supported`);
  }
}

/** Return where something is inserted: at an index, or at the end of the body, a header or a footer. */
function placeOf({ locationChoice = "endOfSegmentLocation", insertSegment = "body", segmentId = "", index = 0 }) {
  const segment = { segmentId: insertSegment === "body" ? "" : segmentId };
  return locationChoice === "location" ? { location: { ...segment, index } } : { endOfSegmentLocation: segment };
}
