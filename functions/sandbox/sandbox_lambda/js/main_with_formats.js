// The entry with the nodes that read and write files, mail and pages. Their libraries are large: other requests do without them.

import "./main.js";
import { convertToFileNode, extractFromFileNode } from "./nodes/files.js";
import { htmlNode } from "./nodes/html.js";
import { NODES } from "./nodes/index.js";
import { markdownNode } from "./nodes/markdown.js";
import { xmlNode } from "./nodes/xml.js";
import { gmailNode } from "./services/gmail.js";
import { rssFeedReadNode } from "./services/rss.js";

Object.assign(NODES, {
  convertToFile: convertToFileNode,
  extractFromFile: extractFromFileNode,
  gmail: gmailNode,
  html: htmlNode,
  markdown: markdownNode,
  rssFeedRead: rssFeedReadNode,
  xml: xmlNode,
});
