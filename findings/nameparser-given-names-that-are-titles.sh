#!/bin/sh
# nameparser 2.6.0 finds no given name in the name of somebody who is called Marquis, Judge or Bishop.
#
# Words that are also titles are titles to the library, so `first` is empty and a greeting has no name. With one word more
# the family name moves into `first`: "Prince Rogers" would be greeted as Rogers. Use a name only if there is a family name
# beside it or no title.
#
# Seen: Marquis Grissom: '' | Judge Reinhold: '' | Bishop Briggs: '' | Prince Rogers: 'Rogers'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nameparser==2.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from nameparser import HumanName

names = ["Marquis Grissom", "Judge Reinhold", "Bishop Briggs", "Prince Rogers"]
found = [HumanName(name).first for name in names]
print(" | ".join(f"{name}: {first!r}" for name, first in zip(names, found)))
sys.exit(0 if found == ["", "", "", "Rogers"] else "changed: another name is first")
PYTHON
