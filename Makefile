# Sojourn. `make` lists what there is. Needs make and Python 3.11+; everything else goes into .venv.

PYTHON ?= python3
ARGS   ?=
BIN    := .venv/bin
STAMP  := .venv/.installed
LOCKED := requirements/dev.txt
COMPILE := pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet

# Counts packages on one line; shows pip's own words only when it fails.
define PROGRESS
/^(Collecting|Processing|Ignoring|Requirement already satisfied:) / { n++; printf "\r  %d of %d packages", n, total; fflush() }
/^Installing collected/ { printf "\r  writing %d packages ", total; fflush() }
{ kept[NR % 25] = $$0 }
END { print ""; if (/^pip failed/) { for (i = NR + 1; i <= NR + 25; i++) if (kept[i % 25]) print kept[i % 25]; exit 1 } }
endef
export PROGRESS

.DEFAULT_GOAL := help
.PHONY: help dev demo test faults endure check lint types imports format bench lock clean venv

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

dev: $(STAMP) ## Start everything in this terminal; Ctrl-C ends it
	@$(BIN)/python -m cli dev

demo: $(STAMP) ## The same with short waits, and three customers to watch
	@$(BIN)/python -m cli demo $(ARGS)

test: $(STAMP) ## Run the tests (ARGS="-k cart" for some of them)
	@$(BIN)/python -m pytest $(ARGS)

faults: $(STAMP) ## Kill everything under load, count what is lost (ARGS="--seconds 300 --seed 7")
	@$(BIN)/python -m tests.faults $(ARGS)

endure: $(STAMP) ## One journey hears 100,000 events on the real parts; some minutes
	@SOJOURN_ENDURE=100000 $(BIN)/python -m pytest -n 0 -q -s tests/integration/test_lasting.py -k g7 $(ARGS)

check: lint types imports test ## Everything that must hold: lint, types, imports, tests

lint: $(STAMP) ## Lint, and check the format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## Check the types
	@$(BIN)/python -m mypy

imports: $(STAMP) ## Check which package imports which
	@$(BIN)/lint-imports

format: $(STAMP) ## Format, and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## Measure, and show the ratios
	@$(BIN)/python -m bench $(ARGS)

lock: ## Lock what pyproject.toml asks for (ARGS=--upgrade for newer versions)
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	$(PYTHON) -m venv "$$tools" && "$$tools/bin/pip" install --quiet --disable-pip-version-check uv && \
	mkdir -p requirements && \
	echo 'setuptools>=80' | "$$tools/bin/uv" $(COMPILE) $(ARGS) pyproject.toml - -o requirements/runtime.txt && \
	echo 'setuptools>=80' | "$$tools/bin/uv" $(COMPILE) $(ARGS) -c requirements/runtime.txt \
		--extra dev --extra test pyproject.toml - -o $(LOCKED) && \
	if grep -nE '://|index-url|find-links|(^| )/' requirements/*.txt; then \
		echo "The lock names a registry or a path of this machine: see above."; exit 1; fi

clean: ## Remove .venv and caches; the data in .sojourn stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(STAMP)

$(STAMP): pyproject.toml $(LOCKED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Sojourn needs Python 3.11 or newer and $(PYTHON) is not ($$($(PYTHON) --version 2>&1))."; \
		echo "If you have one under another name: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@rm -f $(STAMP)
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into .venv what $(LOCKED) locks; once, and again when it changes."
	@{ $(BIN)/python -m pip install --no-input --disable-pip-version-check --progress-bar off \
		--require-hashes -r $(LOCKED) 2>&1 || echo "pip failed"; } | \
		awk -v total="$$(grep -c == $(LOCKED))" "$$PROGRESS"
	@$(BIN)/python -m pip install --no-input --disable-pip-version-check --quiet \
		--no-deps --no-build-isolation -e .
	@touch $(STAMP)
