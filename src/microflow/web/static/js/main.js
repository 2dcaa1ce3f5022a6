// Everything that a page may need; each module finds its own elements and does nothing where there are none.

import "./theme.js";
import "./times.js";
import "./live.js";
import "./events.js";
import "./execution-log.js";
import "./confirm.js";
import "./stay.js";
import "./json-editor.js";
import "./filters.js";
import "./dag.js";
