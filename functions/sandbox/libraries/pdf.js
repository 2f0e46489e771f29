// What nodes need to read PDF. Its two halves run in one place: there are no workers here.

import "./pdf_web.js";
import * as worker from "pdfjs-dist/build/pdf.worker.min.mjs";

globalThis.pdfjsWorker = worker;

export { getDocument, version } from "pdfjs-dist/build/pdf.min.mjs";
