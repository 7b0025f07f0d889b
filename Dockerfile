# syntax=docker/dockerfile:1
# One target a program: appserver (the gateway), api, worker, and simnode, the stand-in for Rhino.Compute.
#
#   docker build --target appserver --tag appserver .
#   docker build --target appserver --build-arg PROGRAMS=prebuilt --build-arg PREBUILT=target/release .    # what cargo built before
#
# What runs is a program, the libraries that it asks for, and the certificates of authorities: no shell, no package manager, no user but a
# number. It writes nothing but what its mounts let it, so that its root may be read-only. The health check is the program itself.
#
# Two builds of one commit give the same programs: the toolchain is one release, the lock holds every dependency, no path of the builder is
# in them, and the time is that of the commit: --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)".

ARG RUST=docker.io/library/rust:1.95.0-bookworm
ARG DEBIAN=docker.io/library/debian:bookworm-slim
# Where programs come from: `built` here, or `prebuilt`.
ARG PROGRAMS=built

# === programs that are built here

FROM ${RUST} AS built
ARG SOURCE_DATE_EPOCH=0
WORKDIR /source
COPY . .
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="--remap-path-prefix=/source=. --remap-path-prefix=/usr/local/cargo/registry/src=registry"
RUN cargo build --release --locked --bins \
    && install -D --target-directory=/programs \
      target/release/appserver target/release/appserver-api target/release/appserver-worker target/release/simnode

# === programs that cargo built before, for this or an older Debian

FROM scratch AS prebuilt
ARG PREBUILT=target/release
COPY ${PREBUILT}/appserver ${PREBUILT}/appserver-api ${PREBUILT}/appserver-worker ${PREBUILT}/simnode /programs/

# hadolint ignore=DL3006
FROM ${PROGRAMS} AS programs

# === what programs need of a system, and nothing else

FROM ${DEBIAN} AS system
ARG SOURCE_DATE_EPOCH=0
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Certificates are those of the day; a version of their package would only be one that the mirror no longer has.
# hadolint ignore=DL3008
RUN test -s /etc/ssl/certs/ca-certificates.crt || { \
      apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*; \
    }
COPY --from=programs /programs /programs
# Libraries that a program names, under the names by which it asks for them, the loader among them.
RUN mkdir -p /system/etc/ssl/certs /system/bin \
    && for program in /programs/*; do ldd "$program"; done \
      | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' | sort -u \
      | while read -r library; do install -D --mode=0755 "$(readlink -f "$library")" "/system$library"; done \
    && cp /etc/ssl/certs/ca-certificates.crt /system/etc/ssl/certs/ \
    && printf 'appserver:x:10001:10001::/:/nonexistent\n' > /system/etc/passwd \
    && printf 'appserver:x:10001:\n' > /system/etc/group \
    && printf 'hosts: files dns\n' > /system/etc/nsswitch.conf \
    && install -d --mode=0755 --owner=10001 --group=10001 /system/data \
    && find /system -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# === the images

FROM scratch AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.vendor="AppServer" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=system /system /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /data
USER 10001:10001

FROM base AS appserver
LABEL org.opencontainers.image.title="appserver" \
      org.opencontainers.image.description="The registry of Grasshopper contracts, and the gateway in front of Rhino.Compute"
COPY --from=programs /programs/appserver /bin/appserver
ENV APPSERVER_SERVER_LISTEN=0.0.0.0:3000 APPSERVER_REGISTRY_ROOT=/registry
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/bin/appserver", "health"]
ENTRYPOINT ["/bin/appserver"]
CMD ["serve"]

FROM base AS api
LABEL org.opencontainers.image.title="appserver-api" \
      org.opencontainers.image.description="Jobs of apps over HTTP"
COPY --from=programs /programs/appserver-api /bin/appserver-api
ENV API_LISTEN=0.0.0.0:3001
EXPOSE 3001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/bin/appserver-api", "health"]
ENTRYPOINT ["/bin/appserver-api"]

FROM base AS worker
LABEL org.opencontainers.image.title="appserver-worker" \
      org.opencontainers.image.description="Takes jobs of apps from their queues, and has the gateway solve them"
COPY --from=programs /programs/appserver-worker /bin/appserver-worker
ENV WORKER_LISTEN=0.0.0.0:3002
EXPOSE 3002
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/bin/appserver-worker", "health"]
ENTRYPOINT ["/bin/appserver-worker"]

# For trials without Rhino. Whoever builds without a target gets the gateway, which stands last.
FROM base AS simnode
LABEL org.opencontainers.image.title="simnode" \
      org.opencontainers.image.description="A stand-in for Rhino.Compute, without Rhino"
COPY --from=programs /programs/simnode /bin/simnode
EXPOSE 6500
ENTRYPOINT ["/bin/simnode", "--address", "0.0.0.0"]

FROM appserver
