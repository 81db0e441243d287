# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
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
RUN cargo build --release --locked && cp target/release/isopleth /isopleth

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="isopleth" \
      org.opencontainers.image.description="Maps from observations at scattered stations" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home isopleth \
    && install -d -o isopleth -g isopleth /var/lib/isopleth
COPY --from=build /isopleth /usr/local/bin/isopleth
USER 10001
# Whoever reaches the port needs a key: `docker exec … isopleth keys create --name me --scope read,map`.
ENV ISOPLETH_SERVE_DATA_DIR=/var/lib/isopleth \
    ISOPLETH_SERVE_AUTH=on
VOLUME /var/lib/isopleth
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["isopleth", "healthcheck"]
ENTRYPOINT ["isopleth"]
CMD ["serve", "--listen", "0.0.0.0:8080"]
