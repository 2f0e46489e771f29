// Luxon, with the engine's gaps filled first.

import "./intl.js";
import { DateTime, Duration, Interval, Settings } from "./vendor/luxon.js";

export { DateTime, Duration, Interval };

/** Set the time zone of the workflow for all dates without one. */
export function useZone(zone) {
  globalThis.__timeZone = zone;
  Settings.defaultZone = zone;
  // Nodes and expressions fail on invalid dates as they do in n8n: later, when they are used.
  Settings.throwOnInvalid = false;
}
