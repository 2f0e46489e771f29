// The entry with spreadsheets, whose library is large, and with all that main_with_formats.js has.

import "./main_with_formats.js";
import "./nodes/sheets.js";
