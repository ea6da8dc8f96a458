# elephas-worker: the program, LibTorch for the CPU, and nothing else.
#
#   docker build -f docker/worker.Dockerfile -t elephas-worker .
#
# --build-arg DEVICE=cuda adds LibTorch's CUDA libraries and NCCL; the node's driver provides the rest.
# --build-arg PROGRAMS=host takes what `make images` has built on this machine instead of compiling it here.
ARG PROGRAMS=build

FROM debian:bookworm-slim AS build
ARG DEVICE=cpu
WORKDIR /src
COPY . .
RUN export ELEPHAS_CUDA="$([ "$DEVICE" = cuda ] && echo 1 || echo 0)" \
 && scripts/setup.sh --programs \
 && scripts/build.sh release elephas-worker \
 && docker/collect.sh /root-of-image build/bin/elephas-worker

FROM scratch AS host
COPY build/images/root/worker /root-of-image/

FROM ${PROGRAMS} AS programs

FROM scratch
COPY --from=programs /root-of-image/ /
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/bin/elephas-worker"]
