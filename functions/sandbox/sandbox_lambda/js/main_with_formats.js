// The entry with the nodes that read and write files and pages. Their libraries are large: other requests do without them.

import "./main.js";
import { convertToFileNode, extractFromFileNode } from "./nodes/files.js";
import { htmlNode } from "./nodes/html.js";
import { NODES } from "./nodes/index.js";
import { markdownNode } from "./nodes/markdown.js";
import { rssFeedReadNode } from "./services/rss.js";

Object.assign(NODES, {
  convertToFile: convertToFileNode,
  extractFromFile: extractFromFileNode,
  html: htmlNode,
  markdown: markdownNode,
  rssFeedRead: rssFeedReadNode,
});
