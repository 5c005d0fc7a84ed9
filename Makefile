# `make demo` shows the main job without hardware; `make test` proves it. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up

# Debian's packages that the tests start or call: a broker and a C compiler.
TEST_PACKAGES := mosquitto:mosquitto gcc:gcc libc6-dev:/usr/include/stdio.h openssl:openssl gpsd:gpsd chrony:chronyd rtl-433:rtl_433 postgresql:/usr/lib/postgresql chromium:chromium

# What the test of the package needs besides: it makes a clean Debian.
DEB_PACKAGES := mosquitto:mosquitto debootstrap:debootstrap dpkg:dpkg-deb mount:mount util-linux:unshare

.PHONY: setup demo test test-deb check soak fuzz bench deb clean

setup: $(SETUP)

$(SETUP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("stopover needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || deploy/ensure-packages "python3-venv:/nonexistent"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check]'
	touch $(SETUP)

demo: setup
	$(BIN)/stopover demo

test: setup
	deploy/ensure-packages $(TEST_PACKAGES)
	$(BIN)/pytest -n 3 --dist worksteal

test-deb: setup
	deploy/ensure-packages $(DEB_PACKAGES)
	$(BIN)/pytest -m deb tests/deploy

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

soak: setup
	deploy/ensure-packages $(TEST_PACKAGES)
	$(BIN)/pytest -m soak --timeout 7200

FUZZ_SECONDS ?= 60

fuzz: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/any_bytes.py -max_total_time=$(FUZZ_SECONDS) -max_len=512

bench: setup
	deploy/ensure-packages $(TEST_PACKAGES)
	for each in tests/benchmarks/*.py; do echo "== $$each"; $(BIN)/python $$each || exit 1; done

# The Debian package, in dist/: for this machine, or  make deb ARCH=arm64 SUITE=trixie
deb: setup
	$(BIN)/python deploy/debian/build_deb.py $(if $(ARCH),--arch $(ARCH)) $(if $(SUITE),--suite $(SUITE))

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
