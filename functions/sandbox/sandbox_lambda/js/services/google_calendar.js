// Google Calendar, versions 1 to 1.3: events, and whether calendars are free.

import { DateTime } from "../dates.js";
import { NodeError } from "../errors.js";
import { uuid } from "../nodes/dates.js";
import { exchange } from "../requests.js";
import { defined, forEachItem, idOf } from "./items.js";

const API = "https://www.googleapis.com/calendar/v3";

const OPERATIONS = {
  event: { create, delete: deleteEvent, get, getAll, update },
  calendar: { availability },
};
const DEFAULTS = { event: "create", calendar: "availability" };

export function googleCalendarNode(call) {
  const resource = call.param("resource", 0, "event");
  const operation = call.param("operation", 0, DEFAULTS[resource]);
  const work = OPERATIONS[resource]?.[operation];
  if (!work) throw new NodeError(`The operation '${operation}' is not supported`);
  return [forEachItem(call, (index) => work(call, index))];
}

const send = (call, request) => exchange(call, { credentials: "googleCalendarOAuth2Api", ...request });

const eventsUrl = (call, index) => `${API}/calendars/${encodeURIComponent(idOf(call, "calendar", index))}/events`;

const eventUrl = (call, index) => `${eventsUrl(call, index)}/${encodeURIComponent(call.param("eventId", index, ""))}`;

// ---- Times ----

const workflowZone = () => DateTime.local().zoneName;

/** Return the zone of a parameter that names one, or the workflow's. */
const zoneOf = (named) => (typeof named === "object" && named !== null ? named.value : named) || workflowZone();

/** Return the time of what users write as times. Without a zone, it is a time of `zone`. */
function timeOf(value, zone) {
  if (value === undefined) return DateTime.now();
  if (DateTime.isDateTime(value)) return value;
  if (value instanceof Date) return DateTime.fromJSDate(value);
  if (typeof value === "number") return DateTime.fromMillis(value);
  const text = String(value).trim();
  const iso = DateTime.fromISO(text, { zone });
  if (iso.isValid) return iso;
  const sql = DateTime.fromSQL(text, { zone });
  return sql.isValid ? sql : DateTime.fromRFC2822(text, { zone });
}

const INVALID = "Invalid date";

/** Return a time as the API has it: in UTC, without fractions of seconds. */
function utc(value, zone) {
  const time = timeOf(value, zone);
  return time.isValid ? time.toUTC().toFormat("yyyy-MM-dd'T'HH:mm:ss'Z'") : INVALID;
}

function day(value, zone) {
  const time = timeOf(value, zone);
  return time.isValid ? time.setZone(zone).toISODate() : INVALID;
}

// ---- Events ----

function create(call, index) {
  const zone = workflowZone();
  const { conferenceDataUi, ...fields } = call.param("additionalFields", index, {});
  const isWholeDay = fields.allday === "yes";
  const point = (value) => (isWholeDay ? { date: day(value, zone) } : { dateTime: utc(value, zone), timeZone: zone });
  const conference = conferenceDataUi?.conferenceDataValues?.conferenceSolution;
  const body = defined({
    start: point(call.param("start", index, DateTime.now())),
    end: point(call.param("end", index, DateTime.now().plus({ hours: 1 }))),
    id: fields.id || undefined,
    attendees: fields.attendees && guestsOf(fields.attendees),
    ...commonFields(call, index, fields),
    recurrence: recurrenceOf(fields, zone),
    conferenceData: conference && {
      createRequest: { requestId: uuid(), conferenceSolution: { type: conference } },
    },
  });
  const query = { ...noticeQuery(fields), conferenceDataVersion: conference ? 1 : undefined };
  return send(call, { method: "POST", url: eventsUrl(call, index), query, body });
}

function update(call, index) {
  const zone = workflowZone();
  const fields = call.param("updateFields", index, {});
  const isWholeDay = fields.allday === "yes";
  // The kind of time that the event had before is taken away.
  const point = (value) =>
    value &&
    (isWholeDay
      ? { date: day(value, zone), dateTime: null }
      : { dateTime: utc(value, zone), timeZone: zone, date: null });
  const recurrence = recurrenceOf(fields, zone);
  const body = defined({
    start: point(fields.start) || undefined,
    end: point(fields.end) || undefined,
    id: fields.id || undefined,
    attendees: changedGuests(call, index, fields),
    ...commonFields(call, index, fields),
    recurrence: recurrence.length > 0 ? recurrence : undefined,
  });
  const request = { method: "PATCH", url: eventUrl(call, index), query: noticeQuery(fields) };
  return send(call, Object.keys(body).length > 0 ? { ...request, body } : request);
}

/** Return the guests of a list whose texts may have several addresses. */
const guestsOf = (list) =>
  [list]
    .flat()
    .flatMap((text) => String(text).split(","))
    .map((text) => text.trim())
    .filter(Boolean)
    .map((email) => ({ email }));

/** Return the guests of a changed event. Since version 1.2, the node may add to those it has. */
function changedGuests(call, index, fields) {
  if (call.version < 1.2) return fields.attendees && guestsOf(fields.attendees);
  const { mode = "add", attendees } = fields.attendeesUi?.values ?? {};
  if (!attendees) return undefined;
  const before = mode === "add" ? (send(call, { url: eventUrl(call, index) }).attendees ?? []) : [];
  return [...before, ...guestsOf(attendees)];
}

function commonFields(call, index, fields) {
  return {
    colorId: fields.color || undefined,
    description: fields.description || undefined,
    guestsCanInviteOthers: fields.guestsCanInviteOthers,
    guestsCanModify: fields.guestsCanModify,
    guestsCanSeeOtherGuests: fields.guestsCanSeeOtherGuests,
    location: fields.location || undefined,
    summary: fields.summary || undefined,
    transparency: fields.showMeAs || undefined,
    visibility: fields.visibility || undefined,
    reminders: remindersOf(call, index),
  };
}

function remindersOf(call, index) {
  if (call.param("useDefaultReminders", index, true) !== false) return undefined;
  const { remindersValues } = call.param("remindersUi", index, {});
  const overrides = remindersValues?.map(({ method = "", minutes = 0 }) => ({ method, minutes }));
  return defined({ useDefault: false, overrides });
}

function recurrenceOf({ rrule, repeatFrecuency, repeatHowManyTimes, repeatUntil }, zone) {
  if (rrule) return [`RRULE:${rrule}`];
  if (repeatHowManyTimes && repeatUntil)
    throw new NodeError("You can set either 'Repeat How Many Times' or 'Repeat Until' but not both");
  const until = repeatUntil && timeOf(repeatUntil, zone).toUTC().toFormat("yyyyMMdd'T'HHmmss'Z'");
  const parts = [
    repeatFrecuency && `FREQ=${String(repeatFrecuency).toUpperCase()};`,
    repeatHowManyTimes && `COUNT=${repeatHowManyTimes};`,
    until && `UNTIL=${until};`,
  ].filter(Boolean);
  return parts.length > 0 ? [`RRULE:${parts.join("")}`] : [];
}

const noticeQuery = ({ maxAttendees, sendNotifications, sendUpdates }) => ({
  maxAttendees: maxAttendees || undefined,
  sendNotifications,
  sendUpdates: sendUpdates || undefined,
});

function get(call, index) {
  const { maxAttendees, timeZone } = call.param("options", index, {});
  const query = { maxAttendees, timeZone: timeZone && zoneOf(timeZone) };
  return send(call, { url: eventUrl(call, index), query });
}

function deleteEvent(call, index) {
  send(call, { method: "DELETE", url: eventUrl(call, index), query: noticeQuery(call.param("options", index, {})) });
  return { success: true };
}

function getAll(call, index) {
  const all = call.param("returnAll", index, false) === true;
  const query = { ...listQuery(call, index), maxResults: all ? 100 : call.param("limit", index, 50) };
  const found = [];
  let pageToken;
  do {
    const page = send(call, { url: eventsUrl(call, index), query: { ...query, pageToken } });
    found.push(...(page.items ?? []));
    pageToken = all ? page.nextPageToken : undefined;
  } while (pageToken);
  return found;
}

function listQuery(call, index) {
  const { query, timeZone, timeMin, timeMax, updatedMin, singleEvents, recurringEventHandling, ...options } =
    call.param("options", index, {});
  const zone = zoneOf(timeZone);
  const rest = {
    iCalUID: options.iCalUID,
    maxAttendees: options.maxAttendees,
    orderBy: options.orderBy,
    q: query,
    showDeleted: options.showDeleted,
    showHiddenInvitations: options.showHiddenInvitations,
  };
  const last = {
    timeZone: timeZone && zone,
    updatedMin: updatedMin && utc(updatedMin, zone),
    fields: options.fields,
  };
  if (call.version < 1.3)
    return {
      ...rest,
      singleEvents,
      timeMax: timeMax && utc(timeMax, zone),
      timeMin: timeMin && utc(timeMin, zone),
      ...last,
    };
  return { ...timesOf(call, index, zone), singleEvents: isExpanded(recurringEventHandling), ...rest, ...last };
}

/** Since version 1.3, the times are parameters of their own: by default the next week. */
function timesOf(call, index, zone) {
  const text = (value) => {
    if (!value) return undefined;
    const written = DateTime.isDateTime(value) ? value.toUTC().toISO() : String(value);
    return written.endsWith("Z") || written.includes("+") ? written : utc(written, zone);
  };
  return {
    timeMin: text(call.param("timeMin", index, DateTime.now())),
    timeMax: text(call.param("timeMax", index, DateTime.now().plus({ weeks: 1 }))),
  };
}

function isExpanded(handling = "expand") {
  if (handling === "next") throw new NodeError("The operation 'getAll' of next occurrences is not supported");
  return handling === "expand" ? true : undefined;
}

// ---- Calendars ----

function availability(call, index) {
  const { outputFormat = "availability", timezone } = call.param("options", index, {});
  const zone = zoneOf(timezone);
  const id = idOf(call, "calendar", index);
  const body = {
    timeMin: utc(call.param("timeMin", index, DateTime.now()), zone),
    timeMax: utc(call.param("timeMax", index, DateTime.now().plus({ hours: 1 })), zone),
    items: [{ id }],
    timeZone: zone,
  };
  const answer = send(call, { method: "POST", url: `${API}/freeBusy`, body });
  const { busy = [], errors } = answer.calendars?.[id] ?? {};
  if (errors?.length) throw new NodeError(`The calendar cannot be read: ${errors[0].reason}`);
  if (outputFormat === "raw") return answer;
  return outputFormat === "bookedSlots" ? busy : { available: busy.length === 0 };
}
