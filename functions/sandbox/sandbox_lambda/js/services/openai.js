// OpenAI's audio and images. Texts are not written here: the platform's own text model does that.

import { NodeError } from "../errors.js";
import { exchange, fileOfResponse, multipart, responseTo } from "../requests.js";
import { fileOfBytes } from "../nodes/file_types.js";
import { fileOfItem, forEachItem, Item, requireParameters, requireText } from "./items.js";

const API = "https://api.openai.com/v1";
const OPERATIONS = {
  audio: { generate: speech, transcribe, translate },
  image: { generate: images, edit, analyze },
};

export function openAiNode(call) {
  const resource = call.param("resource", 0, "text");
  const operation = call.param("operation", 0, "generate");
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  const required = [];
  if (work === analyze && call.version >= 1.4) required.push({ name: "modelId", label: "Model" });
  if (work === edit) required.push({ name: "prompt", label: "Prompt" });
  requireParameters(call, required);
  return [forEachItem(call, (index) => work(call, index))];
}

// A transcription or a picture takes longer than other answers.
const SECONDS = 60;
const send = (call, path, body) =>
  exchange(call, { method: "POST", url: `${API}/${path}`, credentials: "openAiApi", seconds: SECONDS, ...body });

// ---- Audio ----

/** A file's own data are the item's values. */
function ofFile(file, field) {
  const { data, ...described } = file;
  return new Item(described, { [field]: file });
}

function speech(call, index) {
  const { response_format = "mp3", speed = 1, binaryPropertyOutput = "data" } = call.param("options", index, {});
  const body = {
    model: call.param("model", index, "tts-1"),
    input: call.param("input", index, ""),
    voice: call.param("voice", index, "alloy"),
    response_format,
    speed,
  };
  const url = `${API}/audio/speech`;
  const response = responseTo(call, { method: "POST", url, body, credentials: "openAiApi", seconds: SECONDS });
  const bytes = atob(fileOfResponse(response).data);
  const names = { fileName: `audio.${response_format}`, mimeType: `audio/${response_format}` };
  return ofFile(fileOfBytes(bytes, names), binaryPropertyOutput);
}

function transcribe(call, index) {
  const { language, temperature } = call.param("options", index, {});
  return ofAudio(call, index, "transcriptions", { language, temperature });
}

function translate(call, index) {
  const { temperature } = call.param("options", index, {});
  return ofAudio(call, index, "translations", { temperature });
}

function ofAudio(call, index, path, fields) {
  const file = fileOfItem(call, index, call.param("binaryPropertyName", index, "data"));
  const given = Object.entries(fields).filter(([, value]) => value);
  const parts = [["model", "whisper-1"], ...given].map(([name, value]) => ({ name, value }));
  return send(call, `audio/${path}`, { content: multipart([...parts, { name: "file", file }]) });
}

// ---- Images ----

const isGptImage = (model) => String(model).startsWith("gpt-image");

/** Return the name of the model, which newer versions have as a choice from a list. */
function modelOf(call, index, newer, otherwise) {
  if (call.version < newer) return call.param("model", index, otherwise[0]);
  const choice = call.param("modelId", index, otherwise[1]);
  return typeof choice === "object" && choice !== null ? choice.value : choice;
}

function images(call, index) {
  const prompt = requireText(call.param("prompt", index, ""), "prompt");
  const model = modelOf(call, index, 2.2, ["dall-e-3", "gpt-image-1-mini"]);
  const { returnImageUrls, dalleQuality, n, style, binaryPropertyOutput, ...options } = call.param(
    "options",
    index,
    {},
  );
  const body = { prompt, model, ...options };
  if (dalleQuality !== undefined) body.quality = dalleQuality;
  if (!isGptImage(model)) {
    body.response_format = returnImageUrls === true ? "url" : "b64_json";
    if (n !== undefined) body.n = n;
    if (style !== undefined) body.style = style;
  }
  return picturesOf(send(call, "images/generations", { body }));
}

const picturesOf = ({ data = [] }) =>
  data.map((one) => ("b64_json" in one ? ofFile(fileOfBytes(atob(one.b64_json), { fileName: "data" }), "data") : one));

function edit(call, index) {
  const model = modelOf(call, index, 2.3, ["gpt-image-1", "gpt-image-1"]);
  const prompt = requireText(call.param("prompt", index, ""), "prompt");
  const { user, background, inputFidelity, imageMask } = call.param("options", index, {});
  const isNew = isGptImage(model);
  const named = call.param("images", index, { values: [{ binaryPropertyName: "data" }] }).values ?? [];
  const fields = isNew ? named.map((one) => one.binaryPropertyName) : [call.param("binaryPropertyName", index, "data")];
  const files = fields.map((field) => ({ name: isNew ? "image[]" : "image", file: fileOfItem(call, index, field) }));
  const values = {
    prompt,
    model,
    n: call.param("n", index, 1),
    size: call.param("size", index, "1024x1024"),
    ...(isNew ? {} : { response_format: call.param("responseFormat", index, "url") }),
    user,
    ...(isNew ? { background, input_fidelity: inputFidelity, quality: call.param("quality", index, "auto") } : {}),
  };
  const parts = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  const mask = imageMask ? [{ name: "mask", file: fileOfItem(call, index, imageMask) }] : [];
  const content = multipart([...files, ...parts.map(([name, value]) => ({ name, value })), ...mask]);
  return picturesOf(send(call, "images/edits", { content }));
}

function analyze(call, index) {
  const { detail = "auto", maxTokens = 300 } = call.param("options", index, {});
  const text = requireText(call.param("text", index, "What's in this image?"), "text");
  const urls = urlsOf(call, index);
  const isSimple = call.param("simplify", index, true) === true;
  const model = modelOf(call, index, 1.4, ["gpt-4-vision-preview", ""]);
  if (call.version >= 2) {
    const parts = urls.map((url) => ({ type: "input_image", detail, image_url: url }));
    const content = [{ type: "input_text", text }, ...parts];
    const body = { model, input: [{ role: "user", content }], max_output_tokens: maxTokens };
    const { error, ...answer } = send(call, "responses", { body });
    // The list of outputs is one item.
    return isSimple ? [answer.output] : answer;
  }
  const parts = urls.map((url) => ({ type: "image_url", image_url: { url, detail } }));
  const content = [{ type: "text", text }, ...parts];
  const body = { model, messages: [{ role: "user", content }], max_tokens: maxTokens };
  const answer = send(call, "chat/completions", { body });
  return isSimple ? { content: answer.choices[0].message.content } : answer;
}

function urlsOf(call, index) {
  if (call.param("inputType", index, "url") === "base64") {
    const fields = String(call.param("binaryPropertyName", index, "data")).split(",");
    const files = fields.map((field) => fileOfItem(call, index, field.trim()));
    return files.map((file) => `data:${file.mimeType};base64,${file.data}`);
  }
  const urls = call.param("imageUrls", index, "");
  if (urls === null || urls === undefined) throw new NodeError(`Cannot read properties of ${urls} (reading 'split')`);
  if (typeof urls !== "string") throw new NodeError("this.getNodeParameter(...).split is not a function");
  return urls.split(",").map((url) => url.trim());
}
