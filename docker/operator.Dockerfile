# elephas-operator: the program, its libraries, and nothing else.
#
#   docker build -f docker/operator.Dockerfile -t elephas-operator .
#
# --build-arg PROGRAMS=host takes what `make images` has built on this machine instead of compiling it here.
ARG PROGRAMS=build

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY . .
RUN scripts/setup.sh --programs --without-worker \
 && cmake --preset release -DELEPHAS_WITH_WORKER=OFF \
 && scripts/build.sh release elephas-operator \
 && docker/collect.sh /root-of-image build/bin/elephas-operator

FROM scratch AS host
COPY build/images/root/operator /root-of-image/

FROM ${PROGRAMS} AS programs

FROM scratch
COPY --from=programs /root-of-image/ /
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/bin/elephas-operator"]
