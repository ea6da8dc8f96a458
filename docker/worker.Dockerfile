# elephas-worker: the program, LibTorch for the CPU, and nothing else.
#
#   docker build -f docker/worker.Dockerfile -t elephas-worker .
#
# --build-arg DEVICE=cuda adds LibTorch's CUDA libraries, NCCL, and what they load (several GB); a node with GPUs adds
# the driver's.
# --build-arg PROGRAMS=host takes what `make images` has built on this machine instead of compiling it here.
ARG PROGRAMS=build

FROM debian:bookworm-slim AS build
ARG DEVICE=cpu
WORKDIR /src
COPY . .
RUN if [ "$DEVICE" = cuda ]; then export ELEPHAS_CUDA=1 CUDA_LIBRARIES=/cuda; fi \
 && scripts/setup.sh --programs \
 && scripts/build.sh release elephas-worker elephas_cuda elephas_nccl \
 && if [ "$DEVICE" = cuda ]; then docker/cuda_libraries.sh /cuda; fi \
 && docker/collect.sh /root-of-image build/bin/elephas-worker \
 && rm -rf /cuda

FROM scratch AS host
COPY build/images/root/worker /root-of-image/

FROM ${PROGRAMS} AS programs

FROM scratch
COPY --from=programs /root-of-image/ /
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/bin/elephas-worker"]
