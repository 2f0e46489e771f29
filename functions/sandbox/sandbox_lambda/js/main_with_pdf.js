// The entry with PDF, whose library is large, and with all that main_with_sheets.js has.

import "./main_with_sheets.js";
import "./nodes/pdf.js";
