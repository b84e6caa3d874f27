# One word for each thing to do; `make help` lists them. The work is done by deploy/setup/bootstrap.py,
# which needs nothing but Python: `exec` makes it (and what it turns into) make's own child, which gets its signals.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help run test test-unit fuzz soak chaos rollout bench scale manifests release kubernetes-check vulnerabilities dead-letters deliveries token-keys erase retention-report verify verify-access-log calendar departments-check configuration-import configuration-export agent accounts-import accounts-export backup restore lint docs check clean

define bootstrap
@command -v $(PYTHON) >/dev/null 2>&1 || { \
	echo "refused: there is no $(PYTHON); install Python 3.11 or later (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; exit 1; }; \
exec $(PYTHON) deploy/setup/bootstrap.py
endef

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 26

run:  ## the whole system on this machine, until Ctrl-C; REPLICAS=3 runs three of each service, RABBITMQ=4 on that version
	$(bootstrap) run

test:  ## every test: Python, browser, JavaScript; RABBITMQ=4 on that version of RabbitMQ
	$(bootstrap) test

test-unit:  ## the tests that need nothing but Python: no broker, no database, no browser
	$(bootstrap) test-unit

fuzz:  ## strange requests, frames and files, other ones each time; FUZZ_TIMES=20 says how many
	$(bootstrap) fuzz

soak:  ## the long runs against several replicas; SOAK_ARGS are handed on
	$(bootstrap) soak

chaos:  ## people write while faults strike; says what was lost, doubled, reordered; CHAOS_ARGS are handed on
	$(bootstrap) chaos

rollout:  ## the last version is replaced by this one while people write; ROLLOUT_ARGS are handed on
	$(bootstrap) rollout

bench:  ## how fast it is, beside a plain relay and the last kept table; BENCH_ARGS are handed on
	$(bootstrap) bench

scale:  ## 1, 2, 4 replicas of one service at a time under the same load; SCALE_ARGS are handed on
	$(bootstrap) scale

manifests:  ## builds every overlay and component and checks it; ARGS=--write makes what is made of other files
	$(bootstrap) manifests

release:  ## bundles, images, SBOMs and checksums of a version: VERSION=2.0.0; ARGS=--registry=... names your registry
	$(bootstrap) release

kubernetes-check:  ## asks all that the services depend on what is right, and says what to do
	$(bootstrap) kubernetes-check

vulnerabilities:  ## asks OSV about the packages of the images, and whether a known vulnerability is overdue (SECURITY.md)
	$(bootstrap) vulnerabilities

dead-letters:  ## list, show, replay, discard what could not be handled: ARGS="show transcripts"
	$(bootstrap) dead-letters

deliveries:  ## what webhooks have not got; show, replay, discard their dead letters: ARGS="show crm"
	$(bootstrap) deliveries

token-keys:  ## new keys with which services sign tokens (docs/rotation.md): ARGS=presence for one of them
	$(bootstrap) token-keys

erase:  ## one chat by its number, or a legal hold, with a receipt: ARGS="chat NUMBER --reason=..."
	$(bootstrap) erase

retention-report:  ## what was deleted when, by department and category, and the periods that apply
	$(bootstrap) retention-report

verify:  ## says whether a transcript (JSON, PDF) is intact, without a network: FILE=chat.json KEYS=keys.json
	$(bootstrap) verify

verify-access-log:  ## says whether the log of who read what is intact, or where not; ARGS=--export=FILE exports it
	$(bootstrap) verify-access-log

calendar:  ## the closing days and changed hours of a year, for each department: YEAR=2027
	$(bootstrap) calendar

departments-check:  ## says whether the services would take a departments file: FILE=departments.toml
	$(bootstrap) departments-check

configuration-import:  ## makes a departments file the newest version, where CONFIG_SOURCE is database: FILE=departments.toml
	$(bootstrap) configuration-import

configuration-export:  ## writes the departments of the database as a departments file: FILE=departments.toml
	$(bootstrap) configuration-export

agent:  ## list, add, change, disable, enable accounts without a restart: ACCOUNTS_FILE=... ARGS="add an --name=An ..."
	$(bootstrap) agent

accounts-import:  ## what an accounts file would change in the database: FILE=accounts.toml; ARGS=--apply changes it
	$(bootstrap) accounts-import

accounts-export:  ## writes the accounts of the database, with hashes, as an accounts file: FILE=accounts.toml
	$(bootstrap) accounts-export

backup:  ## all that lasts, into a folder: ARGS=backup-2026-11-23
	$(bootstrap) backup

restore:  ## from such a folder, into empty databases: ARGS=backup-2026-11-23; services are stopped first
	$(bootstrap) restore

lint:  ## ruff, mypy, import contracts; eslint, prettier, tsc for the browser code
	$(bootstrap) lint

docs:  ## the interface descriptions in docs/, generated from the code
	$(bootstrap) docs

check: lint test  ## what the continuous integration does: lint, then test

clean:  ## remove the virtual environment, caches and the data of `make run`
	$(bootstrap) clean
