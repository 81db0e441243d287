# `make demo` and `make test` do all the set-up on a fresh machine; `make help` lists the rest.

CACHE ?= $(or $(ISOPLETH_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/isopleth)
export CARGO_TARGET_DIR ?= $(CACHE)/target
# A newer CMake than Debian's, for the HDF5 and NetCDF libraries that are built into the program.
export PATH := $(CACHE)/tools/bin:$(PATH)
# Other people's readers of NetCDF, which judge our files.
PYTHON := $(CACHE)/python/bin/python
# A program that tries every route of the service by its description.
SCHEMATHESIS := $(CACHE)/http/bin/schemathesis
PROGRAM := $(CARGO_TARGET_DIR)/release/isopleth

.PHONY: help setup setup-tests build demo test check check-deploy reproducible sbom bench skill sweeps hostile memory load storm hour year soak bless picture

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: ## what building needs
	@scripts/setup.sh build "$(CACHE)"

setup-tests: setup ## what testing needs besides
	@scripts/setup.sh tests "$(CACHE)"

build: setup ## the program, optimised
	cargo build --release --locked

demo: build ## map the example readings: 8 hours at 1400 stations onto 1400×1000 cells
	$(PROGRAM) map examples/demo_readings.csv --bounds 73,18,135,54 --shape 1400x1000 -o demo.nc

test: setup-tests ## all tests
	python3 scripts/make_demo.py --check
	ISOPLETH_PYTHON="$(PYTHON)" ISOPLETH_SCHEMATHESIS="$(SCHEMATHESIS)" cargo test --workspace --locked

check: setup ## format, lints, documentation, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/setup.sh deny "$(CACHE)"
	cargo deny --all-features check licenses bans sources

check-deploy: ## what is in deploy/, by the checkers of Prometheus, Kubernetes, compose, CycloneDX and systemd
	@scripts/setup.sh deploy "$(CACHE)"
	scripts/check_deploy.sh "$(CACHE)"

reproducible: setup ## two builds of the last commit from nothing, compared byte by byte (half an hour to an hour)
	scripts/compare_builds.sh

sbom: setup ## a bill of materials of the program (CycloneDX)
	scripts/sbom.py > isopleth.cdx.json

bench: build ## the kernels, and the whole program beside its peers
	cargo bench --workspace --locked
	cargo build --release --examples --locked
	scripts/setup.sh peers "$(CACHE)"
	"$(CACHE)/peers/bin/python" benches/peers/run.py --program "$(PROGRAM)"

SPLITS ?= 1
skill: build ## errors at readings left out beside other people's methods, with docs/skill.md
	scripts/setup.sh skill "$(CACHE)"
	"$(CACHE)/skill/bin/python" benches/skill/run.py --program "$(PROGRAM)" --splits $(SPLITS)
	"$(CACHE)/skill/bin/python" benches/skill/run.py --program "$(PROGRAM)" --splits $(SPLITS) --ours
	"$(CACHE)/skill/bin/python" benches/skill/page.py "$$(ls -t benches/record/skill-*.csv | head -1)" --program "$(PROGRAM)"

sweeps: build setup-tests ## error and time against order, stations, cells and fields, with a picture
	cargo build --release --examples --locked
	"$(PYTHON)" benches/sweeps.py --program "$(PROGRAM)"
	"$(PYTHON)" benches/sweeps.py --draw "$$(ls -t benches/record/sweeps-*.csv | head -1)" docs/images/sweeps.png

hostile: build ## a million requests that no honest client sends (REQUESTS=…)
	benches/hostile/run.py --program "$(PROGRAM)" --requests $(or $(REQUESTS),1000000)

memory: build ## peak memory of large maps beside what is foreseen
	benches/memory.py "$(PROGRAM)"

load: build ## maps a second of the service: whole requests, and values of a registered network (needs wrk)
	"$(PYTHON)" benches/service/load.py --program "$(PROGRAM)" --keep

storm: build ## four times as many requests as the service can answer, for five minutes (SECONDS=…)
	benches/service/storm.py --program "$(PROGRAM)" --seconds $(or $(SECONDS),300) --keep

hour: build ## from the file of readings to the files of maps, an hour of six pollutants
	"$(PYTHON)" benches/hour/run.py --program "$(PROGRAM)"

year: build setup-tests ## 8760 hours of a schedule in minutes, with crashes and a full disk (HOURS=…; as root for the disk)
	"$(PYTHON)" benches/year/run.py --program "$(PROGRAM)" --hours $(or $(HOURS),8760)

soak: build setup-tests ## a day of service in a quarter of an hour: does memory stay as it was? (MINUTES=…)
	"$(PYTHON)" benches/year/soak.py --program "$(PROGRAM)" --minutes $(or $(MINUTES),15)

bless: setup ## renew golden files; review the difference
	ISOPLETH_BLESS=1 cargo test -p isopleth-api --locked

picture: demo setup-tests ## the picture of the README
	"$(PYTHON)" scripts/picture.py demo.nc docs/images/demo.png --readings examples/demo_readings.csv
