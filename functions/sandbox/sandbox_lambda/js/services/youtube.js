// YouTube: channels, playlists, their items, videos and categories. Files are not uploaded: videos are too large.

import { NodeError } from "../errors.js";
import { exchange } from "../requests.js";
import { forEachItem, requireParameters } from "./items.js";

const API = "https://www.googleapis.com/youtube/v3";
const PAGE = 100;

const ALL_PARTS = {
  channel:
    "brandingSettings contentDetails contentOwnerDetails id localizations snippet statistics status topicDetails",
  playlist: "contentDetails id localizations player snippet status",
  playlistItem: "contentDetails id snippet status",
  video:
    "contentDetails id liveStreamingDetails localizations player recordingDetails snippet statistics status topicDetails",
};

const OPERATIONS = {
  channel: { getAll: listChannels, get: (...of) => get(...of, "channel"), update: updateChannel },
  playlist: {
    create: createPlaylist,
    get: (...of) => get(...of, "playlist"),
    getAll: listPlaylists,
    update: updatePlaylist,
    delete: (...of) => remove(...of, "playlist"),
  },
  playlistItem: {
    add,
    get: (...of) => get(...of, "playlistItem"),
    getAll: listPlaylistItems,
    delete: (...of) => remove(...of, "playlistItem"),
  },
  video: {
    getAll: searchVideos,
    get: (...of) => get(...of, "video"),
    rate,
    update: updateVideo,
    delete: (...of) => remove(...of, "video"),
  },
  videoCategory: { getAll: listCategories },
};
const DEFAULTS = {
  channel: "getAll",
  playlist: "getAll",
  playlistItem: "add",
  video: "getAll",
  videoCategory: "getAll",
};
const HAS_TITLE = [createPlaylist, updatePlaylist, updateVideo];

export function youTubeNode(call) {
  const resource = call.param("resource", 0, "channel");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' of '${resource}' is not supported`);
  requireParameters(call, HAS_TITLE.includes(work) ? [{ name: "title", label: "Title" }] : []);
  return [forEachItem(call, (index) => work(call, index))];
}

function send(call, method, path, query, body) {
  const headers = method === "GET" ? { "content-type": "application/json" } : {};
  return exchange(call, { method, url: `${API}/${path}`, query, body, headers, credentials: "youTubeOAuth2Api" });
}

/** Return the parts of a thing that are asked for, by default all. */
function partsOf(call, index, resource) {
  const chosen = call.param("part", index, ["*"]);
  const parts = chosen.includes("*") ? ALL_PARTS[resource].split(" ") : chosen;
  return parts.join(",");
}

/** Return the items of all pages, or of one that has as many as the node wants. */
function list(call, index, path, query) {
  if (call.param("returnAll", index, false) !== true)
    return send(call, "GET", path, { ...query, maxResults: call.param("limit", index, 25) }).items ?? [];
  const all = [];
  let pageToken;
  do {
    const page = send(call, "GET", path, { ...query, maxResults: PAGE, pageToken });
    all.push(...(page.items ?? []));
    pageToken = page.nextPageToken;
  } while (pageToken);
  return all;
}

function get(call, index, resource) {
  const query = { part: partsOf(call, index, resource), id: call.param(`${resource}Id`, index, "") };
  return send(call, "GET", `${resource}s`, { ...query, ...call.param("options", index, {}) }).items ?? [];
}

function remove(call, index, resource) {
  const id = call.param(`${resource}Id`, index, "");
  send(call, "DELETE", `${resource}s`, call.param("options", index, {}), { id });
  return { success: true };
}

/** Things of the user's own are asked for if no filter names others. */
const isMine = (filters, names) => !names.some((name) => filters[name]);

function listChannels(call, index) {
  const filters = call.param("filters", index, {});
  const query = { part: partsOf(call, index, "channel"), ...call.param("options", index, {}), ...filters };
  return list(
    call,
    index,
    "channels",
    isMine(filters, ["id", "forUsername", "categoryId"]) ? { ...query, mine: true } : query,
  );
}

function listPlaylists(call, index) {
  const filters = call.param("filters", index, {});
  const query = { part: partsOf(call, index, "playlist"), ...call.param("options", index, {}), ...filters };
  return list(call, index, "playlists", isMine(filters, ["id", "channelId"]) ? { ...query, mine: true } : query);
}

function listPlaylistItems(call, index) {
  const query = { playlistId: call.param("playlistId", index, ""), part: partsOf(call, index, "playlistItem") };
  return list(call, index, "playlistItems", { ...query, ...call.param("options", index, {}) });
}

function searchVideos(call, index) {
  const filters = { ...call.param("filters", index, {}) };
  if (filters.relatedToVideoId && filters.forDeveloper !== undefined)
    throw new NodeError("When using the parameter 'related to video' the parameter 'for developer' cannot be set");
  for (const name of ["publishedAfter", "publishedBefore"])
    if (filters[name]) filters[name] = new Date(filters[name]).toISOString();
  const mine = Object.keys(filters).length === 0 ? { forMine: true } : {};
  const options = call.param("options", index, {});
  return list(call, index, "search", { part: "snippet", type: "video", ...options, ...filters, ...mine });
}

function listCategories(call, index) {
  const query = { regionCode: call.param("regionCode", index, ""), part: "snippet" };
  const items = send(call, "GET", "videoCategories", query).items ?? [];
  return call.param("returnAll", index, false) === true ? items : items.slice(0, call.param("limit", index, 25));
}

const tagsOf = (text, name) => {
  if (!text) return undefined;
  if (typeof text !== "string") throw new NodeError(`${name}.tags.split is not a function`);
  return text.split(",");
};

/** Return the fields that say something. */
const filled = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

function createPlaylist(call, index) {
  const { tags, privacyStatus, defaultLanguage, onBehalfOfContentOwner, onBehalfOfContentOwnerChannel } = call.param(
    "options",
    index,
    {},
  );
  const fields = filled({ tags: tagsOf(tags, "options"), privacyStatus, defaultLanguage });
  const query = { part: "snippet", ...filled({ onBehalfOfContentOwner, onBehalfOfContentOwnerChannel }) };
  return send(call, "POST", "playlists", query, { snippet: { title: call.param("title", index, ""), ...fields } });
}

function updatePlaylist(call, index) {
  const { tags, description, defaultLanguage, privacyStatus, onBehalfOfContentOwner } = call.param(
    "updateFields",
    index,
    {},
  );
  const snippet = {
    title: call.param("title", index, ""),
    ...filled({ tags: tagsOf(tags, "updateFields"), description, defaultLanguage }),
  };
  const body = { id: call.param("playlistId", index, ""), snippet, status: filled({ privacyStatus }) };
  return send(call, "PUT", "playlists", { part: "snippet, status", ...filled({ onBehalfOfContentOwner }) }, body);
}

function add(call, index) {
  const { position, note, startAt, endAt, onBehalfOfContentOwner } = call.param("options", index, {});
  const resourceId = { kind: "youtube#video", videoId: call.param("videoId", index, "") };
  const snippet = { playlistId: call.param("playlistId", index, ""), resourceId, ...filled({ position }) };
  const query = { part: "snippet, contentDetails", ...filled({ onBehalfOfContentOwner }) };
  return send(call, "POST", "playlistItems", query, { snippet, contentDetails: filled({ note, startAt, endAt }) });
}

function rate(call, index) {
  const body = { id: call.param("videoId", index, ""), rating: call.param("rating", index, "none") };
  send(call, "POST", "videos/rate", {}, body);
  return { success: true };
}

function updateVideo(call, index) {
  const fields = call.param("updateFields", index, {});
  const { description, defaultLanguage, recordingDate, onBehalfOfContentOwner } = fields;
  const { privacyStatus, selfDeclaredMadeForKids, license, embeddable, publicStatsViewable, publishAt } = fields;
  const snippet = {
    title: call.param("title", index, ""),
    categoryId: call.param("categoryId", index, ""),
    ...filled({ description, tags: tagsOf(fields.tags, "updateFields"), defaultLanguage }),
  };
  const status = filled({
    privacyStatus,
    selfDeclaredMadeForKids,
    license,
    embeddable,
    publicStatsViewable,
    publishAt,
  });
  const body = { id: call.param("videoId", index, ""), snippet, status, recordingDetails: filled({ recordingDate }) };
  const query = { part: "snippet, status, recordingDetails", ...filled({ onBehalfOfContentOwner }) };
  return send(call, "PUT", "videos", query, body);
}

function updateChannel(call, index) {
  const { onBehalfOfContentOwner, brandingSettingsUi = {} } = call.param("updateFields", index, {});
  if (brandingSettingsUi.imageSettingsValues)
    throw new NodeError("Cannot read properties of undefined (reading 'bannerExternalUrl')");
  const channel = filled(brandingSettingsUi.channelSettingsValues?.channel ?? {});
  const body = { id: call.param("channelId", index, ""), brandingSettings: { channel, image: {} } };
  return send(call, "PUT", "channels", { part: "brandingSettings", ...filled({ onBehalfOfContentOwner }) }, body);
}
