// Crossentropies of probabilities with classes, each as one operation on the CPU.
//
// Out of LibTorch's operations the loss of a batch is seven small ones forward and more than that
// backward, each of which costs more to call than to run: a tenth of a small network's training.
#pragma once

#include <ATen/ATen.h>

namespace elephas::keras {

// Both: -log(clip(p / sum of the row, epsilon, 1 - epsilon)) as Keras' jax backend has it, [rows].
// `probabilities` is float32 [rows, classes] on the CPU. The graph can be differentiated once, by
// the probabilities.

// Of each row's own class; `classes` is int64 [rows]. Throws c10::Error for a class that does not
// exist.
at::Tensor SparseCrossentropy(const at::Tensor& probabilities, const at::Tensor& classes);

// Weighed with `targets`, float32 [rows, classes], and summed over the row.
at::Tensor DenseCrossentropy(const at::Tensor& probabilities, const at::Tensor& targets);

}  // namespace elephas::keras
