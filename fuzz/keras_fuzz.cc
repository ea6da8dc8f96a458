// Keras' model files: the first byte chooses the archive or the JSON inside one. HDF5 is read in a
// process of its own (worker/keras_file/isolated.h), so what this finds is ours.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "worker/keras_file/compile_config.h"
#include "worker/keras_file/keras_file.h"
#include "worker/keras_file/layer_order.h"

using elephas::FuzzCheck;
using elephas::FuzzCheckRefusal;

namespace {

std::string TemporaryPath(const std::string& extension) {
  static const std::string kBase = "/tmp/elephas-fuzz-" + std::to_string(::getpid());
  return kBase + extension;
}

void CheckModel(const elephas::keras_file::ModelFile& file) {
  FuzzCheck(file.config.is_object(), "a model without a config");
  elephas::keras_file::Object tree{"", "", "Functional", {}, {{"layers", "a", "Dense", {}, {}}}};
  elephas::keras_file::OrderLikeKeras(tree, file.config);
  FuzzCheck(tree.children.size() == 1, "a layer is lost");
  const nlohmann::json compile = elephas::keras_file::ToCompileConfig(file.compile);
  FuzzCheck(compile.is_null() == file.compile.is_null(), "a compile config is lost");
  static_cast<void>(elephas::keras_file::ToTrainingConfig(file.compile));
  static_cast<void>(elephas::keras_file::FromTrainingConfig(file.compile));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string path = TemporaryPath(data[0] % 2 == 0 ? ".keras" : ".json");
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::ofstream(path, std::ios::binary) << text;
  const auto file = elephas::keras_file::ReadModelFile(path);
  ::unlink(path.c_str());
  if (file.ok()) {
    CheckModel(*file);
  } else {
    FuzzCheckRefusal(file.status());
  }
  return 0;
}
