// The entry: JSON in, JSON out.

import { runWorkflow } from "./workflow.js";

globalThis.runRequest = async (text) => JSON.stringify(await runWorkflow(JSON.parse(text)));
