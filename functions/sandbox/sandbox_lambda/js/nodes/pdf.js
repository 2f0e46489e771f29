// Extract From File for PDF: the texts of the pages, and what the file says about itself.

import { NodeError } from "../errors.js";
import { getDocument, version } from "../vendor/pdf.js";
import { fileOf, READERS } from "./files.js";

READERS.pdf = async (call, index) => {
  const { joinPages = true, maxPages, password, keepSource } = call.param("options", index, {});
  const data = Uint8Array.from(atob(fileOf(call, index).data), (letter) => letter.charCodeAt(0));
  const settings = {
    isEvalSupported: false,
    useWorkerFetch: false,
    disableFontFace: true,
    useSystemFonts: true,
    verbosity: 0,
  };
  try {
    const file = await getDocument({ data, ...settings, ...(password ? { password } : {}) }).promise;
    const { info, metadata } = await file.getMetadata();
    const pages = [];
    for (let page = 1; page <= Math.min(file.numPages, maxPages ?? file.numPages); page += 1)
      pages.push(textOf(await (await file.getPage(page)).getTextContent()));
    const json = {
      numpages: file.numPages,
      numrender: file.numPages,
      info,
      ...(metadata ? { metadata: Object.fromEntries(metadata) } : {}),
      text: joinPages ? pages.join("\n\n") : pages,
      version,
    };
    const keepsFiles = ["binary", "both"].includes(keepSource);
    return [{ json, ...(keepsFiles ? { binary: call.items[index].binary } : {}) }];
  } catch (error) {
    throw error instanceof NodeError ? error : new NodeError(error.message);
  }
};

const textOf = ({ items }) => items.map(({ str = "", hasEOL }) => `${str}${hasEOL ? "\n" : ""}`).join("");
