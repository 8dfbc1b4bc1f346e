# syntax=docker/dockerfile:1.25.0@sha256:0adf442eae370b6087e08edc7c50b552d80ddf261576f4ebd6421006b2461f12

# The image of belvedere: one static binary on a base that has no shell and no C library.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg GIT_COMMIT="$(git rev-parse HEAD)" -t belvedere .
#
# Build arguments, all optional: VERSION, GIT_COMMIT and CREATED (RFC 3339) end in the labels, GIT_COMMIT in
# build_info too. Each platform is compiled on itself. scripts/check-image builds it and tries it out.

FROM docker.io/library/rust:1.95.0-slim-trixie@sha256:e14e87345b4d5964ddcc3491d27ee046a0f23820f340c3c1e24da6880141f7c0 AS build
WORKDIR /build
# Linked statically, glibc included. Cargo applies these flags to build scripts and macros as well, unless it
# is told a target, be it the machine's own.
ENV CARGO_INCREMENTAL=0 \
    RUSTFLAGS="-C target-feature=+crt-static"

# Dependencies first, with empty sources in the place of ours: this layer lasts until a manifest changes. It is
# a layer and no cache mount because caches of CI keep layers alone.
COPY .cargo/config.toml .cargo/
COPY Cargo.toml Cargo.lock ./
COPY chassis/Cargo.toml chassis/
COPY entity/Cargo.toml entity/
COPY migration/Cargo.toml migration/
RUN mkdir -p benches chassis/src chassis/tests/it entity/src migration/src src \
    && touch benches/metrics.rs benches/stack.rs chassis/tests/it/main.rs \
        chassis/src/lib.rs entity/src/lib.rs migration/src/lib.rs src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo fetch --locked --target "$(rustc --print host-tuple)"
# What was made of the empty sources goes, or Cargo would take it for ours: it compares times of files, and ours
# are older.
RUN cargo build --release --locked --offline --package belvedere --target "$(rustc --print host-tuple)" \
    && cargo clean --release --offline --target "$(rustc --print host-tuple)" \
        --package belvedere --package belvedere-chassis --package belvedere-entity --package belvedere-migration

COPY chassis/build.rs chassis/
COPY chassis/src chassis/src
COPY entity/src entity/src
COPY migration/src migration/src
COPY src src
ARG GIT_COMMIT
RUN cargo build --release --locked --offline --package belvedere --target "$(rustc --print host-tuple)" \
    && install -D "target/$(rustc --print host-tuple)/release/belvedere" /out/belvedere \
    && mkdir /out/data

FROM gcr.io/distroless/static-debian13:nonroot@sha256:e2e927ec666bae08560abb3c55d0659eceabb657f56b6782ab500a9fc7f555e3
COPY LICENSE-APACHE LICENSE-MIT /licenses/
COPY --from=build /out/belvedere /usr/local/bin/
# For those who keep the database in SQLite: a volume that is mounted here belongs to the user below.
COPY --from=build --chown=65532:65532 /out/data /data
WORKDIR /data
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV APP_ENVIRONMENT=production \
    APP_SERVER__ADDR=0.0.0.0:8080 \
    APP_OPS__ADDR=0.0.0.0:9090
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# Kubernetes has probes of its own and ignores this. The command itself gives up after three seconds.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/belvedere", "health"]
ENTRYPOINT ["/usr/local/bin/belvedere"]
CMD ["serve"]

ARG VERSION=unknown
ARG GIT_COMMIT=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="belvedere" \
    org.opencontainers.image.description="A user directory with a documented HTTP API, built on the belvedere chassis" \
    org.opencontainers.image.source="https://github.com/belvedere-rs/belvedere" \
    org.opencontainers.image.url="https://github.com/belvedere-rs/belvedere" \
    org.opencontainers.image.documentation="https://github.com/belvedere-rs/belvedere/blob/main/docs/operating.md" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${GIT_COMMIT}" \
    org.opencontainers.image.created="${CREATED}"
