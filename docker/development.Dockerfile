# elephas-development: what building and testing need, on the Debian that continuous integration uses.
#
#   docker build -f docker/development.Dockerfile -t elephas-development .
#   docker run -it -v "$PWD":/src -v elephas-cache:/root/.cache elephas-development
#
# The clusters of the end-to-end tests need --privileged; `make test ELEPHAS_E2E=0` does without.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make ca-certificates
WORKDIR /src
COPY deps/versions.env deps/
COPY scripts/setup.sh scripts/
# The packages that compiling takes; LibTorch and the rest go to the cache outside of the image, by `make setup`.
RUN scripts/setup.sh --programs --without-worker
CMD ["bash"]
