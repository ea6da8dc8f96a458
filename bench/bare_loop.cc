// The yardstick of bench/training.py: the MLP 784-128-128-10 trained by LibTorch alone, as its own
// tutorial would write it, on one thread, or (cuda) on a GPU without waiting for it within an
// epoch. Prints examples per second of the epochs after the first.
//
// usage: bare_loop ROWS EPOCHS BATCH [cuda]
#include <dlfcn.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "usage: %s ROWS EPOCHS BATCH [cuda]\n", argv[0]);
    return 2;
  }
  const bool cuda = argc == 5;
  if (cuda && dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const torch::Device device(cuda ? torch::kCUDA : torch::kCPU);
  const std::int64_t rows = std::atoll(argv[1]);
  const std::int64_t epochs = std::atoll(argv[2]);
  const std::int64_t batch = std::atoll(argv[3]);
  at::set_num_threads(1);
  torch::manual_seed(1);
  const torch::Tensor x = torch::rand({rows, 784}).to(device);
  const torch::Tensor y = torch::randint(0, 10, {rows}, torch::kLong).to(device);
  torch::nn::Sequential model(torch::nn::Linear(784, 128), torch::nn::ReLU(),
                              torch::nn::Linear(128, 128), torch::nn::ReLU(),
                              torch::nn::Linear(128, 10));
  model->to(device);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
  double seconds = 0;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor order = torch::randperm(rows).to(device);
    double loss_sum = 0;
    torch::Tensor losses = torch::zeros({}, device);
    for (std::int64_t first = 0; first < rows; first += batch) {
      const torch::Tensor index = order.slice(0, first, std::min(rows, first + batch));
      optimizer.zero_grad();
      const torch::Tensor loss = torch::nn::functional::cross_entropy(
          model->forward(x.index_select(0, index)), y.index_select(0, index));
      loss.backward();
      optimizer.step();
      if (cuda) {
        losses += loss.detach();
      } else {
        loss_sum += loss.item<double>();
      }
    }
    loss_sum += losses.item<double>();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (epoch > 0) seconds += took.count();
    if (loss_sum != loss_sum) return 1;
  }
  std::printf("%.0f\n", static_cast<double>(rows * (epochs - 1)) / seconds);
}
