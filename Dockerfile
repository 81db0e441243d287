# syntax=docker/dockerfile:1
# Two stages: one that builds, and an image of nothing but the program, the libraries that it asks for and a user.
# The base is named by its exact tag; whoever builds for production adds its digest (`docker buildx imagetools inspect`).
ARG RUST=rust:1.95.0-bookworm

FROM ${RUST} AS build
# Seconds since 1970 of the commit: `--build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`. The same sources give the
# same bytes (scripts/build_reproducible.sh).
ARG SOURCE_DATE_EPOCH=0
ENV CARGO_TARGET_DIR=/target
# The HDF5 library wants CMake 3.26; bookworm has 3.25.
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv=3.11.* \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /tools
WORKDIR /source
COPY scripts/cmake.txt scripts/cmake.txt
RUN /tools/bin/pip install --no-cache-dir -r scripts/cmake.txt
ENV PATH=/tools/bin:$PATH
COPY . .
RUN scripts/build_reproducible.sh \
    && scripts/image_root.sh /target/release/isopleth /image \
    && scripts/sbom.py > /image/usr/share/doc/isopleth/sbom.cdx.json \
    && cp LICENSE-MIT LICENSE-APACHE /image/usr/share/doc/isopleth/ \
    && /image/usr/local/bin/isopleth --version

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="isopleth" \
      org.opencontainers.image.description="Maps from observations at scattered stations" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /image/var/lib/isopleth /var/lib/isopleth
USER 10001:10001
# Whoever reaches the port needs a key: `docker exec … isopleth keys create --name me --scope read,map`.
# 30 s of grace, so `docker stop --time 40`, which compose.yaml and the manifests have.
ENV PATH=/usr/local/bin \
    TMPDIR=/tmp \
    HOME=/var/lib/isopleth \
    ISOPLETH_SERVE_DATA_DIR=/var/lib/isopleth \
    ISOPLETH_SERVE_AUTH=on \
    ISOPLETH_SERVE_LISTEN=0.0.0.0:8080
VOLUME /var/lib/isopleth
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["isopleth", "healthcheck"]
ENTRYPOINT ["isopleth"]
CMD ["serve"]
