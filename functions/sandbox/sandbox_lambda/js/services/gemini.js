// Google Gemini: images, audio and documents. Texts are written by the platform's own text model.

import { NodeError } from "../errors.js";
import { fileOfBytes } from "../nodes/file_types.js";
import { contentType, encodedUrl, exchange, fileOfResponse, headerOf, jsonOf, responseTo } from "../requests.js";
import { fileOfItem, forEachItem, Item, requireParameters, requireText } from "./items.js";

const HOST = "https://generativelanguage.googleapis.com";
const CREDENTIALS = "googlePalmApi";
// A file is looked at so often until it is ready, without pauses.
const LOOKS = 20;
const SECONDS = 60;

const KINDS = { image: "image/png", audio: "audio/mpeg", document: "application/pdf" };
const OPERATIONS = {
  image: { generate: generateImage, edit: editImage, analyze },
  audio: { transcribe, analyze },
  document: { analyze },
};
const DEFAULTS = { image: "generate", audio: "transcribe", document: "analyze" };

export function googleGeminiNode(call) {
  const resource = call.param("resource", 0, "text");
  const work = OPERATIONS[resource]?.[call.param("operation", 0, DEFAULTS[resource])];
  if (!work) throw new NodeError(`This operation of '${resource}' is not supported`);
  if (call.version < 1.2 || work !== generateImage) requireParameters(call, [{ name: "modelId", label: "Model" }]);
  return [forEachItem(call, (index) => work(call, index, resource))];
}

function modelOf(call, index, otherwise) {
  const choice = call.param("modelId", index, otherwise);
  return typeof choice === "object" && choice !== null ? choice.value : choice;
}

const send = (call, method, path, body) =>
  exchange(call, { method, url: `${HOST}/v1beta/${path}`, body, credentials: CREDENTIALS, seconds: SECONDS });

/** Let the model read files and a text. */
function ask(call, index, parts, generationConfig, otherwise) {
  const body = { contents: [{ role: "user", parts }], ...(generationConfig ? { generationConfig } : {}) };
  return send(call, "POST", `${modelOf(call, index, otherwise)}:generateContent`, body);
}

function simplified(call, index, answer) {
  return call.param("simplify", index, true) === true ? answer.candidates : answer;
}

// ---- Files ----

/** Upload a file, and return it as a part of what the model reads. */
function uploaded(call, { data, mimeType }) {
  const bytes = atob(data);
  const started = responseTo(call, {
    method: "POST",
    url: `${HOST}/upload/v1beta/files`,
    credentials: CREDENTIALS,
    headers: {
      "content-type": "application/json",
      "x-goog-upload-protocol": "resumable",
      "x-goog-upload-command": "start",
      "x-goog-upload-header-content-length": String(bytes.length),
      "x-goog-upload-header-content-type": mimeType,
    },
  });
  const sent = responseTo(call, {
    method: "POST",
    url: headerOf(started, "x-goog-upload-url"),
    content: { content: { base64: data }, type: "application/x-www-form-urlencoded" },
    headers: { "x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize" },
    seconds: SECONDS,
  });
  let { file } = jsonOf(sent);
  for (let looks = 0; file.state !== "ACTIVE" && file.state !== "FAILED" && looks < LOOKS; looks += 1)
    file = send(call, "GET", file.name);
  if (file.state === "FAILED") throw new NodeError(file.error?.message ?? "Unknown error");
  if (file.state !== "ACTIVE") throw new NodeError("Gemini is still reading the file: try again later");
  return partOf(file);
}

const partOf = ({ uri, mimeType }) => ({ fileData: { fileUri: uri, mimeType } });

/** Return the files that a node names by their URLs, or by fields of the item. */
function filesOf(call, index, resource) {
  if (call.param("inputType", index, "url") === "binary") {
    const fields = String(call.param("binaryPropertyName", index, "data")).split(",");
    return fields.map((field) => uploaded(call, fileOfItem(call, index, field.trim())));
  }
  const urls = call.param(`${resource}Urls`, index, "");
  if (urls === null || urls === undefined) throw new NodeError(`Cannot read properties of ${urls} (reading 'split')`);
  if (typeof urls !== "string") throw new NodeError("urls.split is not a function");
  const list = urls
    .split(",")
    .map((url) => url.trim())
    .filter(Boolean);
  return list.map((url) => (url.startsWith(HOST) ? known(call, url) : downloaded(call, url, KINDS[resource])));
}

const known = (call, url) => partOf(exchange(call, { url, credentials: CREDENTIALS }));

function downloaded(call, url, otherwise) {
  if (!/^https?:\/\//i.test(url)) throw new NodeError("Invalid URL");
  const [response] = call.send([{ method: "GET", url: encodedUrl(url), headers: {}, redirects: 10, seconds: SECONDS }]);
  if (response.error) throw new NodeError(response.error);
  if (response.status >= 300) throw new NodeError(`Request failed with status code ${response.status}`);
  const mimeType = contentType(response).split(";")[0] || otherwise;
  return uploaded(call, { ...fileOfResponse(response), mimeType });
}

// ---- What the model is asked ----

function analyze(call, index, resource) {
  const text = requireText(call.param("text", index, `What's in this ${resource}?`), "text");
  const { maxOutputTokens } = call.param("options", index, {});
  const parts = [...filesOf(call, index, resource), { text }];
  const config = maxOutputTokens === undefined ? {} : { maxOutputTokens };
  return simplified(call, index, ask(call, index, parts, config));
}

function transcribe(call, index, resource) {
  const { startTime, endTime } = call.param("options", index, {});
  const times = `${startTime ? ` from ${startTime}` : ""}${endTime ? ` to ${endTime}` : ""}`;
  const parts = [...filesOf(call, index, resource), { text: `Generate a transcript of the speech${times}` }];
  return simplified(call, index, ask(call, index, parts));
}

function pictureItem(data, mimeType, field) {
  const { data: bytes, ...described } = fileOfBytes(atob(data ?? ""), { fileName: "image.png", mimeType });
  return new Item(described, { [field]: { data: bytes, ...described } });
}

function imageIn(answer) {
  if (!answer.candidates) throw new NodeError("Cannot read properties of undefined (reading 'map')");
  const parts = answer.candidates.flatMap(({ content }) => content?.parts ?? []);
  return parts.find((part) => part.inlineData)?.inlineData ?? {};
}

const IMAGE_MODEL = "models/gemini-3.1-flash-image-preview";

function generateImage(call, index) {
  const text = requireText(call.param("prompt", index, ""), "prompt");
  const { binaryPropertyOutput = "data", sampleCount = 1 } = call.param("options", index, {});
  const model = String(modelOf(call, index, IMAGE_MODEL));
  if (model.includes("gemini")) {
    const config = { responseModalities: ["IMAGE", "TEXT"] };
    const { data, mimeType } = imageIn(ask(call, index, [{ text }], config, IMAGE_MODEL));
    return pictureItem(data, mimeType, binaryPropertyOutput);
  }
  if (!model.includes("imagen")) throw new NodeError(`Model ${model} is not supported for image generation`);
  const answer = send(call, "POST", `${model}:predict`, { instances: [{ prompt: text }], parameters: { sampleCount } });
  if (!answer.predictions) throw new NodeError("Cannot read properties of undefined (reading 'map')");
  return answer.predictions.map((one) => pictureItem(one.bytesBase64Encoded, one.mimeType, binaryPropertyOutput));
}

function editImage(call, index) {
  const text = requireText(call.param("prompt", index, ""), "prompt");
  const { binaryPropertyOutput = "edited" } = call.param("options", index, {});
  const named = call.param("images", index, { values: [{ binaryPropertyName: "data" }] }).values ?? [];
  const files = named.map((one) => uploaded(call, fileOfItem(call, index, one.binaryPropertyName)));
  const { data, mimeType } = imageIn(ask(call, index, [...files, { text }], { responseModalities: ["IMAGE"] }));
  return pictureItem(data, mimeType, binaryPropertyOutput);
}
