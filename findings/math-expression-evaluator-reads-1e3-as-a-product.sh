#!/bin/sh
# math-expression-evaluator 2.0.7, with which n8n's agents calculate (the tool Calculator), has no scientific notation: it
# reads 1e3 as 1 · e · 3, with Euler's number, and gives 8.15 without an error. Its own results have that notation when they
# are large (12345678901*98765432109 is 1.2193263113362292e+21), so that a model that goes on with such a result gets another
# number: 1.2193263113362292e+21 - 1 is 23.3. A negative exponent is a subtraction: 5e-1 is 12.59.
#
# Seen: 1e3 8.154845485377136, 5e-1 12.591409142295225, 1.2193263113362292e+21 - 1 23.31447255506727
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund math-expression-evaluator@2.0.7
cat > calculate.js <<'JAVASCRIPT'
const loaded = require("math-expression-evaluator");
const Calculator = loaded.default ?? loaded;
const values = ["1e3", "5e-1", "12345678901*98765432109", "1.2193263113362292e+21 - 1"].map((expression) => {
  const value = new Calculator().eval(expression);
  console.log(expression, value);
  return value;
});
const [thousand, half, product, less] = values;
const isAsSeen =
  Math.abs(thousand - 3 * Math.E) < 1e-9 && Math.abs(half - (5 * Math.E - 1)) < 1e-9 && product > 1e21 && less < 100;
process.exit(isAsSeen ? 0 : 1);
JAVASCRIPT
node calculate.js
