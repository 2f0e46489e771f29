# Builds one function: `sam build` calls build-<its logical id> in the area's folder, with ARTIFACTS_DIR set.
# SLIM names the functions that use nothing of the area's requirements.txt.
UV ?= uv
PYTHON ?= python3.13
AREA := $(notdir $(CURDIR))
# Always Lambda's platform, whichever machine builds.
INSTALL := $(UV) pip install --quiet --python $(PYTHON) --python-version 3.13 \
	--python-platform x86_64-manylinux_2_28 --only-binary :all: --no-deps --require-hashes
# Compile to .pyc files that are not checked against timestamps, which archives do not keep: importing took 862 ms
# without them and takes 311 ms with them.
# The .pyc files contain Lambda's paths, so that the packages of one area's functions are identical and uploaded once.
COMPILE = PYTHONHASHSEED=0 $(PYTHON) -m compileall -q --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)"

TIDY = find "$(ARTIFACTS_DIR)" -type d \( -name tests -o -name bin -o -name __pycache__ \) -prune -exec rm -rf {} +

# A layer that contains only packages.
.PHONY: layer
layer:
	mkdir -p "$(ARTIFACTS_DIR)/python"
	$(INSTALL) --target "$(ARTIFACTS_DIR)/python" -r requirements.txt
	$(TIDY)
	$(COMPILE) -p /opt "$(ARTIFACTS_DIR)/python"

build-%:
	cp -R $(AREA)_lambda "$(ARTIFACTS_DIR)/"
	$(if $(filter $*,$(SLIM)),,if [ -f requirements.txt ] && grep -q '^[a-z]' requirements.txt; then $(INSTALL) --target "$(ARTIFACTS_DIR)" -r requirements.txt; fi)
	$(TIDY)
	$(COMPILE) -p /var/task "$(ARTIFACTS_DIR)"
