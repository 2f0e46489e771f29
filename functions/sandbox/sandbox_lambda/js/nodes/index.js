// The nodes that run here, by n8n's type without its package.

import { filterNode, ifNode, switchNode } from "./branches.js";
import { calledItemsNode, calledRunsNode } from "./calls.js";
import { codeNode, functionItemNode, functionNode } from "./code.js";
import { compareDatasetsNode } from "./compare.js";
import { evaluationNode, mergeNode, passThrough, splitInBatchesNode, stopAndErrorNode } from "./flow.js";
import { cryptoNode, dateTimeNode } from "./dates.js";
import {
  aggregateNode,
  itemListsNode,
  limitNode,
  removeDuplicatesNode,
  renameKeysNode,
  sortNode,
  splitOutNode,
} from "./lists.js";
import { httpRequestNode } from "./http.js";
import { receivedMailNode } from "./received_mail.js";
import { respondToWebhookNode } from "./respond.js";
import { setNode } from "./set.js";
import { agentNode } from "../models/agent.js";
import { chainNode } from "../models/chain.js";
import { retrievalNode, vectorStoreNode } from "../models/retrieval.js";
import { airtableNode } from "../services/airtable.js";
import { facebookGraphApiNode } from "../services/facebook_graph.js";
import { discordNode } from "../services/discord.js";
import { googleCalendarNode } from "../services/google_calendar.js";
import { googleGeminiNode } from "../services/gemini.js";
import { googleDocsNode } from "../services/google_docs.js";
import { googleDriveNode } from "../services/google_drive.js";
import { graphqlNode } from "../services/graphql.js";
import { googleSheetsNode } from "../services/google_sheets_rows.js";
import { hubspotNode } from "../services/hubspot.js";
import { linkedInNode } from "../services/linkedin.js";
import { n8nNode } from "../services/n8n_api.js";
import { notionNode } from "../services/notion.js";
import { openAiNode } from "../services/openai.js";
import { perplexityNode } from "../services/perplexity.js";
import { slackNode } from "../services/slack.js";
import { supabaseNode } from "../services/supabase.js";
import { telegramNode } from "../services/telegram.js";
import { twilioNode } from "../services/twilio.js";
import { twitterNode } from "../services/twitter.js";
import { whatsAppNode } from "../services/whats_app.js";
import { wordpressNode } from "../services/wordpress.js";
import { youTubeNode } from "../services/youtube.js";
import { summarizeNode } from "./summarize.js";
import { valuesNode } from "./values.js";

export const NODES = {
  agent: agentNode,
  agentTool: agentNode,
  aggregate: aggregateNode,
  airtable: airtableNode,
  chainLlm: chainNode,
  chainRetrievalQa: retrievalNode,
  calledItems: calledItemsNode,
  calledRuns: calledRunsNode,
  code: codeNode,
  compareDatasets: compareDatasetsNode,
  crypto: cryptoNode,
  dateTime: dateTimeNode,
  discord: discordNode,
  evaluation: evaluationNode,
  facebookGraphApi: facebookGraphApiNode,
  filter: filterNode,
  form: passThrough,
  function: functionNode,
  functionItem: functionItemNode,
  googleCalendar: googleCalendarNode,
  googleDocs: googleDocsNode,
  googleDrive: googleDriveNode,
  googleGemini: googleGeminiNode,
  googleSheets: googleSheetsNode,
  graphql: graphqlNode,
  httpRequest: httpRequestNode,
  hubspot: hubspotNode,
  if: ifNode,
  itemLists: itemListsNode,
  limit: limitNode,
  linkedIn: linkedInNode,
  merge: mergeNode,
  n8n: n8nNode,
  noOp: passThrough,
  notion: notionNode,
  openAi: openAiNode,
  perplexity: perplexityNode,
  receivedMail: receivedMailNode,
  removeDuplicates: removeDuplicatesNode,
  respondToWebhook: respondToWebhookNode,
  renameKeys: renameKeysNode,
  set: setNode,
  slack: slackNode,
  sort: sortNode,
  splitInBatches: splitInBatchesNode,
  splitOut: splitOutNode,
  stopAndError: stopAndErrorNode,
  summarize: summarizeNode,
  supabase: supabaseNode,
  switch: switchNode,
  telegram: telegramNode,
  twilio: twilioNode,
  twitter: twitterNode,
  values: valuesNode,
  wait: passThrough,
  vectorStoreInMemory: vectorStoreNode,
  vectorStorePinecone: vectorStoreNode,
  vectorStoreQdrant: vectorStoreNode,
  vectorStoreSupabase: vectorStoreNode,
  whatsApp: whatsAppNode,
  wordpress: wordpressNode,
  youTube: youTubeNode,
};
