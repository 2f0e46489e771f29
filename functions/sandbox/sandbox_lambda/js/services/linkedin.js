// LinkedIn: posts with text, an article or an image.

import { NodeError } from "../errors.js";
import { headerOf, jsonOf, responseTo } from "../requests.js";
import { fileOfItem, forEachItem, requireParameters } from "./items.js";

const API = "https://api.linkedin.com/rest";
const CREDENTIALS = { standard: "linkedInOAuth2Api", communityManagement: "linkedInCommunityManagementOAuth2Api" };
const HEADERS = { "x-restli-protocol-version": "2.0.0", "linkedin-version": "202604" };

export function linkedInNode(call) {
  const operation = call.param("operation", 0, "create");
  if (operation !== "create") throw new NodeError(`The operation '${operation}' is not supported`);
  const required = [];
  if (call.param("postAs", 0, "person") === "person") required.push({ name: "person", label: "Person Name or ID" });
  if (call.param("shareMediaCategory", 0, "NONE") === "IMAGE")
    required.push({ name: "binaryPropertyName", label: "Input Binary Field", fallback: "data" });
  requireParameters(call, required);
  return [forEachItem(call, (index) => post(call, index))];
}

function send(call, url, body) {
  const credentials = CREDENTIALS[call.param("authentication", 0, "standard")] ?? CREDENTIALS.standard;
  return responseTo(call, { method: "POST", url, credentials, headers: HEADERS, ...body });
}

function post(call, index) {
  const text = call.param("text", index, "");
  const fields = call.param("additionalFields", index, {});
  const isPerson = call.param("postAs", index, "person") === "person";
  const author = isPerson
    ? `urn:li:person:${call.param("person", index, "")}`
    : `urn:li:organization:${call.param("organization", index, "")}`;
  const content = contentOf(call, index, author, fields);
  const body = {
    author,
    lifecycleState: "PUBLISHED",
    distribution: { feedDistribution: "MAIN_FEED", thirdPartyDistributionChannels: [] },
    // A post of an organization is for everyone.
    visibility: (isPerson && fields.visibility) || "PUBLIC",
    ...(content ? { content } : {}),
    commentary: escaped(text),
  };
  const response = send(call, `${API}/posts`, { body });
  return { urn: headerOf(response, "x-restli-id") };
}

function contentOf(
  call,
  index,
  author,
  { title = "", description = "", originalUrl = "", thumbnailBinaryPropertyName },
) {
  const kind = call.param("shareMediaCategory", index, "NONE");
  if (kind === "IMAGE") {
    const id = uploaded(call, index, author, call.param("binaryPropertyName", index, "data"));
    return { media: { title, id } };
  }
  if (kind !== "ARTICLE") return undefined;
  const article = { title, description, source: originalUrl };
  if (!thumbnailBinaryPropertyName) return { article };
  return { article: { ...article, thumbnail: uploaded(call, index, author, thumbnailBinaryPropertyName) } };
}

/** Upload a file of the item, and return its id. */
function uploaded(call, index, owner, field) {
  const file = fileOfItem(call, index, field);
  const started = send(call, `${API}/images?action=initializeUpload`, { body: { initializeUploadRequest: { owner } } });
  const { uploadUrl, image } = jsonOf(started).value;
  send(call, uploadUrl, { content: { content: { base64: file.data }, type: file.mimeType } });
  return image;
}

/** In LinkedIn's texts, these characters mark people, links and formats. */
function escaped(text) {
  if (text === null || text === undefined) throw new NodeError(`Cannot read properties of ${text} (reading 'replace')`);
  if (typeof text !== "string") throw new NodeError("text.replace is not a function");
  return text.replace(/[()*[\]{}<>@_~|]/g, "\\$&");
}
