#!/bin/sh
# jsonata 2.1.0 (the reference) and jsonata-python 0.7.1 find nothing when a field is read from an element of a list that the
# expression itself makes: [{"v": 1}, {"v": 2}][0].v has no value, without an error. The element alone is there, and so is
# the field if the list stands in parentheses: ([…])[0].v, or comes from a variable: $list[0].v.
#
# Expressions in state machines (JSONata in AWS Step Functions) are often written so, because brackets keep a list of one
# element a list. A name that is missing there is an error of the run, not of the definition.
#
# Seen: nothing, {"v":1}, 1, 1 in both
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > expressions.json <<'JSON'
["[{\"v\": 1}, {\"v\": 2}][0].v", "[{\"v\": 1}, {\"v\": 2}][0]", "([{\"v\": 1}, {\"v\": 2}])[0].v", "($list := [{\"v\": 1}, {\"v\": 2}]; $list[0].v)"]
JSON
npm init -y > /dev/null
npm install --silent --no-audit --no-fund jsonata@2.1.0
cat > read.js <<'JAVASCRIPT'
const jsonata = require("jsonata");
(async () => {
  const read = (expression) => jsonata(expression).evaluate({});
  const values = await Promise.all(require("./expressions.json").map(read));
  console.log(JSON.stringify(values.map((value) => value ?? null)));
})();
JAVASCRIPT
node read.js > javascript.json
python3 -m venv venv
venv/bin/pip install --quiet jsonata-python==0.7.1
venv/bin/python - <<'PYTHON'
import json
import pathlib
import sys

import jsonata

expressions = json.loads(pathlib.Path("expressions.json").read_text())
python = [jsonata.Jsonata(expression).evaluate({}) for expression in expressions]
javascript = json.loads(pathlib.Path("javascript.json").read_text())
print("JavaScript", javascript, "Python", python)
expected = [None, {"v": 1}, 1, 1]
sys.exit(0 if javascript == expected and python == expected else "changed: the field is found")
PYTHON
