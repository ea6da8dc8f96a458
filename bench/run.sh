#!/usr/bin/env bash
# What `make bench` runs once everything is built: the data plane beside iperf3, training beside LibTorch alone and
# beside TensorFlow's Keras, training watched by a scraper beside training that is not. Takes some minutes; figures
# are for this machine and this moment, ratios are what to compare. BENCH='dataplane training keras scrape' says
# which of the four.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deps="${ELEPHAS_DEPS_DIR:-$HOME/.cache/elephas}"
python="$deps/venv/bin/python"
export OMP_WAIT_POLICY=passive

for part in ${BENCH:-dataplane training keras scrape}; do
  case "$part" in
    dataplane) "$python" bench/dataplane.py build/bin build/bench-bin/bench-dataplane ;;
    training) "$python" bench/training.py build/bin build/bench-bin/bench-bare-loop ;;
    keras) "$python" bench/keras_speed.py build/bin "$deps/tensorflow-venv/bin/python" ;;
    scrape) "$python" bench/scrape.py build/bin ;;
    *)
      echo "BENCH names '$part'; there are dataplane, training, keras and scrape" >&2
      exit 2
      ;;
  esac
  echo
done
