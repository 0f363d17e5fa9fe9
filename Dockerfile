# syntax=docker/dockerfile:1
#
#     docker build -t carom .
#
# One image with both binaries. What runs is the command: carom-ingest, or carom-worker run.

FROM rust:1.95.0-slim-bookworm AS build
# The toolchain that is here, and not also the components that rust-toolchain.toml wants for development.
ENV RUSTUP_TOOLCHAIN=1.95.0
# SQLite and ring are built from C sources.
RUN apt-get update \
    && apt-get install --no-install-recommends -y gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The downloads and what was built stay with the builder, not with the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin carom-ingest --bin carom-worker \
    && mkdir /out \
    && cp target/release/carom-ingest target/release/carom-worker /out/ \
    && strip /out/carom-ingest /out/carom-worker

FROM debian:12-slim
# Whom to trust by TLS; nothing else is needed.
RUN apt-get update \
    && apt-get install --no-install-recommends -y ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/carom
COPY --from=build /out/ /usr/local/bin/
# A number, so that whoever runs it can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/carom
VOLUME /var/lib/carom
ENV CAROM_LOG_FORMAT=json
# 8080 is for the world. 9101 and 9102 are /metrics, /livez and /readyz: on loopback unless ops_listen says otherwise.
EXPOSE 8080 9101 9102
# Asks the process's own ops listener; where the worker runs, its command stands in the place of this one.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/carom-ingest", "health"]
STOPSIGNAL SIGTERM
CMD ["/usr/local/bin/carom-ingest"]
