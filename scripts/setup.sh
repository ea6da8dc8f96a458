#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks, on Debian 12:
#   1. Debian packages, by apt (as root or by sudo);
#   2. LibTorch, out of the torch wheel,
#   3. NCCL and CUDA's headers, out of wheels too, and
#   4. a Python environment for the tests, and Prometheus for them, all in ${ELEPHAS_DEPS_DIR:-~/.cache/elephas}.
# Where everything is there already it does nothing and takes a few hundredths of a second. Addresses of
# mirrors come from the machine's own apt and pip configuration.
#
#   scripts/setup.sh            what `make build` needs, and the tests that need no cluster
#   scripts/setup.sh --tools    also what `make check` and `make fuzz` need (clang and friends)
#   scripts/setup.sh --bench    also what `make bench` needs: iperf3, and TensorFlow in an environment of its own
#   scripts/setup.sh --cluster  also what images, clusters and end-to-end tests need: containerd and others from
#                               Debian; Kubernetes, etcd, CoreDNS and Helm, compiled in deps/cluster (once)
#   scripts/setup.sh --programs [--without-worker]    only what compiling the programs takes, for images
#
# ELEPHAS_CUDA=1 also unpacks LibTorch's CUDA libraries. ELEPHAS_SKIP_APT=1 leaves packages to you.
set -euo pipefail

repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=deps/versions.env
source "$repo/deps/versions.env"
deps="${ELEPHAS_DEPS_DIR:-${HOME:?HOME is not set, and ELEPHAS_DEPS_DIR neither}/.cache/elephas}"
cuda="${ELEPHAS_CUDA:-0}"

packages=(
  g++ make cmake ninja-build ccache pkg-config git unzip ca-certificates
  python3 python3-venv
  libcpprest-dev libboost-dev libssl-dev zlib1g-dev
  nlohmann-json3-dev libyaml-dev libyaml-cpp-dev libspdlog-dev libcli11-dev
  libhdf5-dev libzip-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
# A browser without a screen, for the page of the parameter server.
browser_packages=(chromium chromium-driver fonts-dejavu-core)
bench_packages=(iperf3)
cluster_packages=(
  containerd runc containernetworking-plugins nftables conntrack iproute2 util-linux openssl buildah debootstrap
)
tool_packages=(
  "clang-$LLVM_VERSION" "clang-format-$LLVM_VERSION" "libclang-rt-$LLVM_VERSION-dev" shellcheck
)

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

missing_packages() {  # of those named, one per line
  local installed
  installed="$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)"
  local package
  for package in "$@"; do
    grep -qxF "installed $package" <<<"$installed" || echo "$package"
  done
}

install_packages() {
  [[ "${ELEPHAS_SKIP_APT:-0}" == 1 ]] && return
  if ! command -v dpkg-query >/dev/null; then
    die "this is not Debian: install the equivalents of [$*] and set ELEPHAS_SKIP_APT=1"
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0

  local as_root=(env)
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      die "not root and no sudo. Missing packages; as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
  fi
  say "installing ${missing[*]}"
  local install=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends
    -o DPkg::Lock::Timeout=300 "${missing[@]}")
  # The package lists may be absent or old; a fresh look costs seconds, so only when they do not serve.
  if ! "${install[@]}" >"$deps/apt.log" 2>&1 </dev/null; then
    "${as_root[@]}" apt-get update -q >>"$deps/apt.log" 2>&1 </dev/null ||
      say "apt-get update had errors (see $deps/apt.log); trying with what it got"
    "${install[@]}" >>"$deps/apt.log" 2>&1 </dev/null || {
      tail -n 20 "$deps/apt.log" >&2
      die "apt-get could not install: ${missing[*]}"
    }
  fi
}

# --- Prometheus ---------------------------------------------------------------------------------------

prometheus="$deps/prometheus"

# The programs out of Debian's package, unpacked and not installed: an installed one would run as a service.
make_prometheus() {
  [[ -x "$prometheus/usr/bin/prometheus" && -x "$prometheus/usr/bin/promtool" ]] && return
  [[ "${ELEPHAS_SKIP_APT:-0}" == 1 ]] && return
  say "fetching Prometheus for the tests (20 MB, once)"
  local aside="$prometheus.new.$$"
  mkdir -p "$aside/package"
  (cd "$aside/package" && apt-get download -q prometheus) >"$deps/apt.log" 2>&1 </dev/null || {
    tail -n 20 "$deps/apt.log" >&2
    rm -rf "$aside"
    die "apt-get could not fetch the package prometheus (as root: apt-get update)"
  }
  dpkg-deb -x "$aside"/package/prometheus_*.deb "$aside"
  rm -rf "$aside/package" "$prometheus"
  mv "$aside" "$prometheus"
}

# --- Python environment -------------------------------------------------------------------------------

venv="$deps/venv"

base_python() {  # the system's own first: apt has just given it its venv module
  local python
  for python in ${ELEPHAS_PYTHON:+"$ELEPHAS_PYTHON"} /usr/bin/python3 python3; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  die "no Python 3.11 or newer with the venv module (set ELEPHAS_PYTHON)"
}

make_bare_venv() {  # pip alone, which fetches LibTorch
  [[ -x "$venv/bin/python" ]] || "$(base_python)" -m venv "$venv"
}

make_venv() {  # make_venv FOLDER PACKAGES PURPOSE
  local folder="$1" wanted="$2" purpose="$3" key
  key="$(sha256sum <<<"$wanted")"
  if [[ -x "$folder/bin/python" && "$(cat "$folder/elephas.stamp" 2>/dev/null)" == "$key" ]]; then
    return
  fi
  # shellcheck disable=SC2086  # split into words on purpose
  if [[ -x "$folder/bin/python" ]] && pip_in "$folder" install $wanted; then
    say "updated the Python environment in $folder"
  else
    say "making the Python environment of $purpose in $folder"
    rm -rf "$folder"
    "$(base_python)" -m venv "$folder"
    # shellcheck disable=SC2086
    pip_in "$folder" install $wanted || die "pip could not install the packages of $purpose"
  fi
  "$folder/bin/python" -m pip check --disable-pip-version-check >"$deps/pip-check.log" 2>&1 || {
    cat "$deps/pip-check.log" >&2
    die "the Python packages of $purpose in deps/versions.env do not fit together"
  }
  echo "$key" >"$folder/elephas.stamp"
}

make_test_venv() { make_venv "$venv" "$PYTHON_PACKAGES" "the tests"; }
make_tools_venv() { make_venv "$deps/tools-venv" "$TOOLS_PACKAGES" "make check"; }
make_bench_venv() { make_venv "$deps/tensorflow-venv" "$TENSORFLOW_PACKAGES" "the benchmarks"; }

pip_in() {
  "$1/bin/python" -m pip --disable-pip-version-check --no-input "${@:2}" --quiet --no-cache-dir >&2 </dev/null
}

# --- LibTorch -----------------------------------------------------------------------------------------

libtorch="$deps/libtorch-$TORCH_VERSION"

# One line per wheel: package, version, checksum, and what of it is unpacked.
wheels() {
  echo "torch $TORCH_VERSION $TORCH_SHA256 torch/lib/* torch/include/* torch/share/* *.dist-info/licenses/*"
  echo "nvidia-cuda-runtime $CUDA_RUNTIME_VERSION $CUDA_RUNTIME_SHA256 nvidia/*"
  echo "nvidia-cuda-cupti $CUDA_CUPTI_VERSION $CUDA_CUPTI_SHA256 nvidia/*"
  if [[ "$cuda" == 1 ]]; then  # what libtorch_cuda.so needs beside these is the machine's to have
    echo "nvidia-nccl-cu13 $NCCL_VERSION $NCCL_SHA256 nvidia/*"
  fi
}

# Fetches one wheel with pip, which compares the checksum, and unpacks parts of it: unpack_wheel FOLDER NAME
# VERSION CHECKSUM PATTERN... [-x PATTERN...]
unpack_wheel() {
  local folder="$1" name="$2" version="$3" checksum="$4" wheel
  local scratch="$folder/wheels"
  shift 4
  mkdir -p "$scratch"
  echo "$name==$version --hash=sha256:$checksum" >"$scratch/$name.txt"
  pip_in "$venv" download --no-deps --only-binary=:all: --python-version "$TORCH_WHEEL_PYTHON" \
    --require-hashes -r "$scratch/$name.txt" -d "$scratch/$name" ||
    die "pip could not fetch $name $version with the checksum in deps/versions.env"
  wheel="$(find "$scratch/$name" -name '*.whl' -print -quit)"  # callers may have globbing off
  unzip -q -o "$wheel" "$@" -d "$folder" || die "$wheel could not be unpacked"
  rm -rf "$scratch"
}

make_libtorch() {
  local key stamp
  key="$(wheels | sha256sum)"
  stamp="$(cat "$libtorch/elephas.stamp" 2>/dev/null || true)"
  # shellcheck disable=SC2030  # cuda is to change in that subshell only
  # What has the CUDA libraries serves a build without them too.
  if [[ "$stamp" == "$key" || "$stamp" == "$(cuda=1 && wheels | sha256sum)" ]]; then
    return
  fi
  say "fetching LibTorch $TORCH_VERSION (about 540 MB, once)"
  local aside="$libtorch.new.$$"
  # shellcheck disable=SC2064  # now, not at exit
  trap "rm -rf '$aside'" EXIT
  mkdir -p "$aside"

  local name version checksum parts
  local -a without
  while read -r name version checksum parts; do
    without=()
    if [[ "$name" == torch ]]; then
      without=(-x torch/lib/libtorch_python.so)
      # shellcheck disable=SC2031  # and is what it was here
      [[ "$cuda" == 1 ]] || without+=('torch/lib/libtorch_cuda*.so')
    fi
    set -f  # the patterns are unzip's
    # shellcheck disable=SC2086
    unpack_wheel "$aside" "$name" "$version" "$checksum" $parts "${without[@]}"
    set +f
  done < <(wheels)
  [[ -e "$aside/torch/lib/libtorch_cpu.so" ]] || die "the torch wheel holds no torch/lib/libtorch_cpu.so"
  echo "$key" >"$aside/elephas.stamp"

  if [[ -e "$libtorch" ]]; then
    mv "$libtorch" "$aside.old"
  fi
  mv "$aside" "$libtorch"
  rm -rf "$aside.old"
}

# --- the programs of the test cluster -----------------------------------------------------------------

cluster="$deps/cluster"
cluster_sources="$repo/tests/cluster/programs"

go_is_new_enough() {  # what go.mod asks for
  local wanted have
  wanted="$(awk '$1 == "go" {print $2}' "$cluster_sources/go.mod")"
  have="$("$1" env GOVERSION 2>/dev/null)" || return
  [[ "$(printf '%s\n' "$wanted" "${have#go}" | sort -V | head -n 1)" == "$wanted" ]]
}

# Debian's Go is too old for Kubernetes, but it can fetch a newer one: Go's own releases are modules too, with
# checksums in the public database that it compares.
fetch_go() {
  local go="$deps/go-$GO_VERSION" found
  if [[ ! -x "$go/bin/go" ]]; then
    install_packages golang-1.19-go
    say "fetching Go $GO_VERSION (about 70 MB, once)"
    found="$(cd "$(mktemp -d)" && GOPATH="$deps/go-bootstrap" GOFLAGS='' /usr/lib/go-1.19/bin/go mod download \
      -json "golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-amd64" | awk -F'"' '$2 == "Dir" {print $4}')"
    [[ -d "$found" ]] || return 1
    rm -rf "$go.new"
    cp -r "$found" "$go.new"
    chmod -R u+w "$go.new" "$deps/go-bootstrap"
    # Modules carry no permissions.
    chmod -R +x "$go.new/bin" "$go.new/pkg/tool"
    mv "$go.new" "$go"
    rm -rf "$deps/go-bootstrap"
  fi
  echo "$go/bin/go"
}

find_go() {
  local go
  for go in "$(command -v go || true)" /usr/local/go/bin/go; do
    if [[ -n "$go" ]] && go_is_new_enough "$go"; then
      echo "$go"
      return
    fi
  done
  fetch_go
}

cluster_unavailable() {
  say "$1; end-to-end tests will be skipped"
  mkdir -p "$cluster"
  echo "$1" >"$cluster/unavailable"
}

make_cluster_programs() {
  local key go version
  version="$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$cluster_sources/go.mod")"
  key="$(cd "$cluster_sources" && { sha256sum go.mod go.sum ./*/*.go; declare -f make_cluster_programs; } | sha256sum)"
  if [[ "$(cat "$cluster/stamp" 2>/dev/null)" == "$key" ]]; then
    return
  fi
  if ! go="$(find_go)"; then
    cluster_unavailable "no Go for the programs of the test cluster: this machine has none that is new enough, and \
the module proxy gave none"
    return
  fi
  local log="$deps/cluster.log"
  say "compiling Kubernetes, etcd, CoreDNS and Helm for the test cluster (several minutes, once)"
  (
    cd "$cluster_sources"
    # Nothing but the modules of go.sum; no C, so that the programs are static; no debug information.
    export GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
    if ! "$go" mod download >"$log" 2>&1; then
      exit 3
    fi
    # What the programs say of themselves, and what Helm takes a chart's cluster to be when it asks none.
    local about=k8s.io/component-base/version helm=helm.sh/helm/v3 minor name
    minor="$(cut -d. -f2 <<<"$version")"
    local flags="-s -w -X $about.gitVersion=$version -X $about.gitMajor=1 -X $about.gitMinor=$minor"
    for name in pkg/chartutil pkg/lint/rules; do
      flags+=" -X $helm/$name.k8sVersionMajor=1 -X $helm/$name.k8sVersionMinor=$minor"
    done
    flags+=" -X $helm/internal/version.version=$(awk '$1 == "helm.sh/helm/v3" {print $2}' go.mod)"
    rm -rf "$cluster.new"
    mkdir -p "$cluster.new/bin"
    "$go" build -p "$(nproc)" -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "$flags" \
      -o "$cluster.new/bin/" ./kubernetes ./etcd ./coredns ./manifest-judge helm.sh/helm/v3/cmd/helm >>"$log" 2>&1
  ) || {
    local failed=$?
    tail -n 20 "$log" >&2
    if ((failed == 3)); then
      cluster_unavailable "the modules of the test cluster's programs could not be fetched"
      return
    fi
    die "the programs of the test cluster do not compile"
  }
  local name
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -s kubernetes "$cluster.new/bin/$name"
  done
  echo "$key" >"$cluster.new/stamp"
  rm -rf "$cluster"
  mv "$cluster.new" "$cluster"
}

# --- NCCL ---------------------------------------------------------------------------------------------

nccl="$deps/nccl-$NCCL_VERSION"

make_nccl() {
  local key
  key="$(sha256sum <<<"$NCCL_SHA256 $CUDA_CRT_SHA256 $CUDA_CCCL_SHA256")"
  [[ "$(cat "$nccl/elephas.stamp" 2>/dev/null)" == "$key" ]] && return
  say "fetching NCCL $NCCL_VERSION (about 200 MB, once)"
  local aside="$nccl.new.$$"
  # shellcheck disable=SC2064  # now, not at exit
  trap "rm -rf '$aside'" EXIT
  mkdir -p "$aside"
  unpack_wheel "$aside" nvidia-nccl-cu13 "$NCCL_VERSION" "$NCCL_SHA256" 'nvidia/*'
  unpack_wheel "$aside" nvidia-cuda-crt "$CUDA_CRT_VERSION" "$CUDA_CRT_SHA256" 'nvidia/*'
  unpack_wheel "$aside" nvidia-cuda-cccl "$CUDA_CCCL_VERSION" "$CUDA_CCCL_SHA256" 'nvidia/*'
  [[ -e "$aside/nvidia/nccl/lib/libnccl.so.2" ]] || die "the NCCL wheel holds no libnccl.so.2"
  echo "$key" >"$aside/elephas.stamp"
  rm -rf "$nccl"
  mv "$aside" "$nccl"
}

# --- all of it ----------------------------------------------------------------------------------------

main() {
  local wanted=("${packages[@]}")
  local python=make_test_venv torch=make_libtorch nccl_parts=make_nccl bench=: tools=:
  local cluster_programs=: prometheus_programs=:
  while (($#)); do
    case "$1" in
      --bench)
        bench=make_bench_venv
        wanted+=("${bench_packages[@]}")
        ;;
      --tools)
        tools=make_tools_venv
        wanted+=("${tool_packages[@]}")
        ;;
      --cluster)
        # A cluster runs as root only, so nobody else needs anything for it.
        if ((EUID == 0)); then
          cluster_programs=make_cluster_programs
          wanted+=("${cluster_packages[@]}")
        else
          say "no cluster without root; end-to-end tests will be skipped"
        fi
        ;;
      --programs) python=make_bare_venv ;;
      --without-worker) python=: torch=: nccl_parts=: ;;
      *) die "usage: scripts/setup.sh [--tools] [--bench] [--cluster] [--programs [--without-worker]]" ;;
    esac
    shift
  done
  if [[ "$python" == make_test_venv ]]; then
    prometheus_programs=make_prometheus
    wanted+=("${browser_packages[@]}")
  fi
  [[ "$(uname -sm)" == "Linux x86_64" ]] || die "the pinned LibTorch is for Linux on x86_64 only"
  mkdir -p "$deps"
  exec 9>"$deps/lock"  # two checkouts may set up at the same time
  flock 9
  install_packages "${wanted[@]}"
  "$python"
  "$prometheus_programs"
  "$torch"
  "$nccl_parts"
  "$cluster_programs"
  "$bench"
  "$tools"
}

main "$@"
