# What one does with this repository, by name. `just` alone lists it; nothing here is more than the
# command that it shows, and .ci/run runs the same commands one after the other.
#
# Tools that `just tools` or .ci/run have installed below target/ci are found.

export PATH := justfile_directory() + "/target/ci/venv/bin:" + justfile_directory() + "/target/ci/bin:" + justfile_directory() + "/target/ci/debian/usr/bin:" + justfile_directory() + "/target/ci/debian/usr/sbin:" + env("PATH")

binary := "target/debug/belvedere"
release_binary := "target/release/belvedere"
image := "ghcr.io/belvedere-rs/belvedere:dev"

# Lists the recipes
[private]
default:
    @just --list --unsorted

# Runs the service on http://127.0.0.1:8080, or another of its commands
[group('start')]
run *ARGUMENTS:
    cargo run -- {{ ARGUMENTS }}

# Builds the container image
[group('start')]
image:
    docker build --build-arg GIT_COMMIT="$(git rev-parse HEAD)" --build-arg VERSION=dev --tag {{ image }} .

# Three replicas behind a proxy with all that watches them, and somebody who uses them
[group('start')]
demo:
    docker compose --profile traffic up --build --scale belvedere=3

# Stops the demo and removes its data
[group('start')]
demo-stop:
    docker compose --profile traffic down --volumes

# Three bad days in a minute: which alert fires, and which trace explains it
[group('start')]
outage: build
    scripts/demo-outage {{ binary }}

# Installs what the checks need: all of it, or groups of scripts/ci-tools
[group('start')]
tools *GROUPS='all':
    scripts/ci-tools {{ GROUPS }}

# Everything that a change must pass
[group('start')]
ci:
    .ci/run

# Makes the debug binary, which the system checks start
[group('code')]
build:
    cargo build

# Is the code formatted?
[group('code')]
fmt:
    cargo fmt --all --check

# Lints
[group('code')]
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests, on SQLite
[group('code')]
test:
    cargo test --workspace

# All tests, on a PostgreSQL server made for them
[group('code')]
test-postgresql:
    scripts/with-database postgresql cargo test --workspace

# All tests, on a MariaDB server made for them
[group('code')]
test-mariadb:
    scripts/with-database mariadb cargo test --workspace

# All tests, on a server that is there, by a URL that may create databases
[group('code')]
test-on URL:
    TEST_DATABASE_URL={{ quote(URL) }} cargo test --workspace

# Tests of budgets that replicas share, on the Redis server of this machine
[group('code')]
test-redis:
    TEST_REDIS_URL=redis://127.0.0.1:6379/15 cargo test --workspace shared_budgets

# Each case of the benchmarks once
[group('code')]
bench-once:
    cargo test --workspace --bench stack --bench metrics

# How many lines the tests run, and whether it is enough
[group('code')]
coverage *ARGUMENTS:
    scripts/coverage {{ ARGUMENTS }}

# The same on a PostgreSQL server made for it, instead of test-postgresql
[group('code')]
coverage-postgresql *ARGUMENTS:
    scripts/with-database postgresql scripts/coverage {{ ARGUMENTS }}

# The documentation of the crates
[group('code')]
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, bans and sources of the dependencies
[group('code')]
deny:
    cargo deny check licenses bans sources

# Known weaknesses of the dependencies, by the advisory database of today
[group('code')]
advisories:
    cargo deny check advisories

# Do the documents tell the truth, and is .ci/run a sound script?
[group('code')]
documents:
    shellcheck .ci/run
    scripts/check-docs

# The README's tour
[group('system')]
tour: build
    scripts/check-tour {{ binary }}

# The OpenAPI document
[group('system')]
openapi: build
    scripts/check-openapi {{ binary }}

# Requests made up from the OpenAPI document; more of them, and others, with other numbers
[group('system')]
fuzz CASES='5000' SEED='': build
    scripts/check-fuzz {{ binary }} {{ CASES }} {{ SEED }}

# Parsers of the metrics
[group('system')]
metrics: build
    scripts/check-metrics {{ binary }}

# Prometheus and an OTLP collector know the story of every request
[group('system')]
story: build
    scripts/check-story {{ binary }}

# rsyslogd takes the log
[group('system')]
syslog: build
    scripts/check-syslog {{ binary }}

# kill -9
[group('system')]
durability: build
    scripts/check-durability {{ binary }}

# TLS to databases, rotated passwords
[group('system')]
database-tls: build
    scripts/check-database-tls {{ binary }}

# The time of failed logins
[group('system')]
timing: build
    scripts/check-timing {{ binary }}

# TLS and headers, judged by sslyze and the HTTP Observatory
[group('system')]
tls: build
    scripts/check-tls {{ binary }}

# SIGTERM under load
[group('system')]
shutdown: build
    scripts/check-shutdown {{ binary }}

# Backup and restore
[group('system')]
backup: build
    scripts/check-backup {{ binary }}

# Replicas come and go behind HAProxy
[group('system')]
rolling: build
    scripts/check-rolling {{ binary }}

# Tokens of another issuer
[group('system')]
oidc: build
    scripts/check-oidc {{ binary }}

# The documentation in a browser
[group('system')]
browser: build
    scripts/check-browser {{ binary }}

# Hostile clients
[group('system')]
hostile: build
    scripts/check-hostile {{ binary }}

# ZAP looks for weaknesses, as a stranger and as a user; needs Docker
[group('system')]
zap: build
    scripts/check-zap {{ binary }}

# The release build, measured
[group('release')]
release:
    cargo build --release
    scripts/measure {{ release_binary }}
    scripts/bench-telemetry {{ release_binary }} 1 1
    scripts/bench-telemetry --memory {{ release_binary }} 50000
    scripts/bench-databases {{ release_binary }} 20000 1
    scripts/bench-login-storm {{ release_binary }} 3

# Image, manifests, alerts and workflows, by the tools a reviewer would use
[group('delivery')]
delivery: build
    scripts/check-delivery

# The image: built, judged, run as Kubernetes would, measured; needs root
[group('delivery')]
container:
    scripts/check-image

# Does an image that was built start at all, confined as it will be? Needs Docker
[group('delivery')]
try-image IMAGE=image:
    docker run --rm --read-only --network none --cap-drop ALL --security-opt no-new-privileges {{ IMAGE }} --version

# compose.yaml, and what it starts
[group('delivery')]
compose: build
    scripts/check-compose {{ binary }}

# The chart and the manifests
[group('delivery')]
manifests: build
    scripts/check-kubernetes {{ binary }}

# Rules, dashboard and runbooks, on what the service really tells
[group('delivery')]
alerts: build
    scripts/check-alerts {{ binary }}

# The workflows and the other files that machines read
[group('delivery')]
workflows:
    scripts/check-workflows

# The chart in a cluster of its own: installed, tested, rolled under load; needs Docker, kind and helm
[group('delivery')]
kind:
    scripts/kind-test
