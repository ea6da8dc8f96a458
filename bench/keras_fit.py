"""TensorFlow's Keras on one thread, as a user would run it: model.fit on arrays. Started by bench/keras_speed.py, in
the Python environment that `make bench` made for TensorFlow.

usage: keras_fit.py REQUEST.json       {"model", "data", "batch", "epochs", "optimizer", "loss", "jit_compile"}
Prints one line of JSON: {"wall": [examples per second of each epoch], "cpu": [… per second of CPU time]}.
"""

import json
import os
import pathlib
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

import keras
import numpy as np


class Clock(keras.callbacks.Callback):
    def __init__(self, examples):
        super().__init__()
        self.examples = examples
        self.speeds = {"wall": [], "cpu": []}

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter(), time.process_time()
        for name, first, last in zip(self.speeds, self.start, now):
            self.speeds[name].append(self.examples / (last - first))


def main(path):
    request = json.loads(pathlib.Path(path).read_text())
    model = keras.models.model_from_json(pathlib.Path(request["model"]).read_text())
    data = np.load(request["data"])
    x, y = data["x"], data["y"]
    model.compile(
        optimizer=keras.optimizers.get(request["optimizer"]),
        loss=request["loss"],
        metrics=["accuracy"],
        jit_compile=request["jit_compile"],
    )
    clock = Clock(len(x))
    model.fit(x, y, batch_size=request["batch"], epochs=request["epochs"], verbose=0, callbacks=[clock])
    print(json.dumps(clock.speeds))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
