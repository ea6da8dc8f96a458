// elephas-keras-probe DIRECTORY: runs models for the tests that compare with real Keras.
// elephas-keras-probe DIRECTORY cuda: the same on a GPU.
// elephas-keras-probe --reference: prints docs/keras.md.
// elephas-keras-probe --supported: prints the names behind it as JSON.
//
// DIRECTORY/request.json:        {"cases": [case, …]}; a case is
//   {"name", "model", "compile", "inputs": n, "outputs": n, "weights": n, "sampleWeights": bool,
//    "batchSize", "epochs", "initial": true for the weights as they are drawn}
// DIRECTORY/request.safetensors: "<name>/input/<i>", "<name>/label/<i>", "<name>/weight/<i>" in the
//   order of Keras' model.weights, "<name>/sample_weight/<i>"
// DIRECTORY/reply.json:          {"<name>": {"error"} or {"weightNames", "evaluate", "partitioned",
//   "history", …}}
// DIRECTORY/reply.safetensors:   "<name>/predict/<i>", "<name>/mask/<i>", and after training
//   "<name>/weight/<i>"
//
// A case without "inputs" is only built, its compile read; one without "compile" only predicts;
// "epochs" 0 does not train. Training is what a worker does with one partition and shuffle: false.
// "partitioned" is the evaluation of three partitions, put together as the parameter server does
// it.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/atomic_file.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/partitioning.h"
#include "common/protocol/protocol.h"
#include "common/protocol/safetensors.h"
#include "worker/device/device.h"
#include "worker/device/optimizer.h"
#include "worker/keras/compile.h"
#include "worker/keras/model.h"
#include "worker/keras/reference.h"
#include "worker/keras/weights/weight.h"

namespace elephas::keras {
namespace {

using at::Tensor;
using nlohmann::json;

class Reply {
 public:
  void Add(const std::string& name, const Tensor& tensor) {
    tensors_.push_back({name, "F32", tensor.sizes().vec(), 0, 0});
    data_.push_back(tensor.detach().to(at::kCPU, at::kFloat).contiguous());
  }
  json& operator[](const std::string& name) { return values_[name]; }
  Status Write(const std::string& directory) const {
    std::vector<std::span<const std::byte>> bytes;
    for (const Tensor& tensor : data_) {
      bytes.emplace_back(static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes());
    }
    ELEPHAS_RETURN_IF_ERROR(
        safetensors::WriteFile(directory + "/reply.safetensors", {}, tensors_, bytes));
    std::ofstream out(directory + "/reply.json");
    out << values_.dump();
    return out.good() ? OkStatus() : Internal("cannot write reply.json");
  }

 private:
  json values_ = json::object();
  std::vector<safetensors::TensorInfo> tensors_;
  std::vector<Tensor> data_;
};

Result<Tensor> ReadTensor(const safetensors::File& file, const std::string& name) {
  static const std::map<std::string, at::ScalarType> kTypes{
      {"F32", at::kFloat}, {"I64", at::kLong}, {"I32", at::kInt}, {"F64", at::kDouble}};
  const safetensors::TensorInfo* info = file.header.Find(name);
  if (info == nullptr) return NotFound("no tensor '" + name + "'");
  const auto type = kTypes.find(info->dtype);
  if (type == kTypes.end()) return Invalid("tensor '" + name + "' has dtype " + info->dtype);
  Tensor tensor = at::empty(info->shape, type->second);
  const auto bytes = file.Bytes(*info);
  std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

Result<std::vector<Tensor>> ReadTensors(const safetensors::File& file, const std::string& prefix,
                                        std::size_t count) {
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    ELEPHAS_ASSIGN_OR_RETURN(Tensor tensor, ReadTensor(file, prefix + std::to_string(i)));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void CollectWeights(const WeightGroup& group, std::vector<Weight*>& out) {
  out.insert(out.end(), group.weights.begin(), group.weights.end());
  for (const auto& child : group.children) CollectWeights(*child, out);
}

std::span<float> Span(const Tensor& tensor) {
  return {tensor.mutable_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

std::vector<std::span<float>> Spans(const std::vector<Tensor>& tensors) {
  std::vector<std::span<float>> spans;
  for (const Tensor& tensor : tensors) spans.push_back(Span(tensor));
  return spans;
}

std::vector<Tensor> Rows(const std::vector<Tensor>& tensors, const Range& rows) {
  std::vector<Tensor> out;
  for (const Tensor& tensor : tensors) out.push_back(tensor.slice(0, rows.first, rows.last));
  return out;
}

json Values(const MetricSums& sums) {
  json values = json::object();
  for (const auto& [name, state] : sums) {
    const Result<double> value = MetricValue(state);
    values[name] = value.ok() ? json(*value) : json(value.status().message());
  }
  return values;
}

class Case {
 public:
  Case(const json& request, const safetensors::File& file, at::Device device, Reply& reply)
      : request_(request), file_(file), device_(device), name_(request.at("name")), reply_(reply) {}

  Status Run() {
    ELEPHAS_ASSIGN_OR_RETURN(model_, Model::FromConfig(request_.at("model"), 7));
    CollectWeights(model_->weight_tree(), weights_);
    if (request_.value("initial", false)) AddWeights();
    if (request_.value("inputs", 0) == 0) return CheckCompile();
    ELEPHAS_ASSIGN_OR_RETURN(inputs_, Read("/input/", request_.at("inputs")));
    ELEPHAS_RETURN_IF_ERROR(LoadWeights());
    model_->To(device_);
    const std::vector<Tensor> outputs = model_->Forward(inputs_, false);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      reply_.Add(name_ + "/predict/" + std::to_string(i), outputs[i]);
      const Tensor& mask = model_->OutputMasks()[i];
      if (mask.defined()) reply_.Add(name_ + "/mask/" + std::to_string(i), mask);
    }
    if (!request_.contains("compile")) return OkStatus();
    ELEPHAS_ASSIGN_OR_RETURN(loss_, CompiledLoss::FromConfig(request_["compile"], *model_));
    ELEPHAS_ASSIGN_OR_RETURN(targets_.labels, Read("/label/", request_.at("outputs")));
    if (request_.value("sampleWeights", false)) {
      ELEPHAS_ASSIGN_OR_RETURN(targets_.sample_weights,
                               Read("/sample_weight/", request_["outputs"]));
    }
    ELEPHAS_RETURN_IF_ERROR(loss_->CheckLabels(
        targets_.labels, [](std::int64_t row) { return "row " + std::to_string(row); }));
    ELEPHAS_RETURN_IF_ERROR(Evaluate());
    if (request_.value("epochs", 0) > 0) return Train();
    return OkStatus();
  }

 private:
  // On the device.
  Result<std::vector<Tensor>> Read(const std::string& what, std::size_t count) const {
    ELEPHAS_ASSIGN_OR_RETURN(std::vector<Tensor> tensors, ReadTensors(file_, name_ + what, count));
    for (Tensor& tensor : tensors) tensor = tensor.to(device_);
    return tensors;
  }

  Status CheckCompile() {
    if (!request_.contains("compile")) return OkStatus();
    const json& compile = request_["compile"];
    ELEPHAS_RETURN_IF_ERROR(Optimizer::FromConfig(compile.value("optimizer", json())).status());
    return CompiledLoss::FromConfig(compile, *model_).status();
  }

  void AddWeights() {
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      reply_.Add(name_ + "/weight/" + std::to_string(i), weights_[i]->tensor);
    }
  }

  Status LoadWeights() {
    json names = json::array();
    for (const Weight* weight : weights_) names.push_back(weight->path);
    reply_[name_]["weightNames"] = names;
    const std::size_t count = request_.at("weights");
    if (count != weights_.size()) {
      return Invalid("Keras has " + std::to_string(count) + " weights, here are " +
                     std::to_string(weights_.size()) + ": " + names.dump());
    }
    ELEPHAS_ASSIGN_OR_RETURN(const std::vector<Tensor> values,
                             ReadTensors(file_, name_ + "/weight/", count));
    for (std::size_t i = 0; i < count; ++i) {
      if (values[i].sizes() != weights_[i]->tensor.sizes()) {
        return Invalid("weight '" + weights_[i]->path + "' has another shape in Keras");
      }
      weights_[i]->tensor.detach().copy_(values[i]);
    }
    return OkStatus();
  }

  Targets TargetRows(const Range& rows) const {
    return {Rows(targets_.labels, rows), Rows(targets_.sample_weights, rows)};
  }

  MetricSums EvaluateRows(const Range& part) {
    MetricSums sums;
    const std::int64_t size = request_.at("batchSize");
    for (std::int64_t batch = 0; batch < BatchCount(part.size(), size); ++batch) {
      Range rows = BatchRows(part.size(), size, batch);
      rows = {part.first + rows.first, part.first + rows.last};
      const std::vector<Tensor> outputs = model_->Forward(Rows(inputs_, rows), false);
      loss_->Compute(outputs, TargetRows(rows), model_->RegularizationLoss(), sums);
    }
    return sums;
  }

  Status Evaluate() {
    const std::int64_t examples = inputs_[0].size(0);
    reply_[name_]["evaluate"] = Values(EvaluateRows({0, examples}));
    reply_[name_]["metricNames"] = loss_->MetricNames();
    MetricSums total;
    for (std::int64_t p = 0; p < 3; ++p) {
      ELEPHAS_RETURN_IF_ERROR(AddMetrics(total, EvaluateRows(PartitionRows(examples, 3, p))));
    }
    reply_[name_]["partitioned"] = Values(total);
    return OkStatus();
  }

  Status Train() {
    ELEPHAS_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                             Optimizer::FromConfig(request_["compile"].value("optimizer", json())));
    reply_[name_]["optimizer"] = optimizer->Config();
    const std::int64_t count = model_->layout().trainable_elements;
    std::vector<Tensor> slots;
    for (std::size_t i = 0; i < optimizer->SlotNames().size(); ++i) {
      slots.push_back(
          at::full({count}, optimizer->SlotInitialValue(i), model_->parameters().options()));
    }
    ELEPHAS_ASSIGN_OR_RETURN(const DeviceOptimizer on_device,
                             DeviceOptimizer::For(*optimizer, TrainableSlices(model_->layout())));
    const auto step = [&](std::int64_t iteration) {
      const Tensor parameters = model_->parameters().narrow(0, 0, count);
      if (!device_.is_cpu())
        return on_device.Step(iteration, parameters, model_->gradients(), slots);
      optimizer->Step(iteration, Span(parameters), Span(model_->gradients()), Spans(slots),
                      TrainableSlices(model_->layout()));
    };
    const std::int64_t size = request_.at("batchSize");
    std::int64_t iteration = 0;
    json history = json::array();
    for (int epoch = 0; epoch < request_["epochs"]; ++epoch) {
      MetricSums sums;
      for (std::int64_t batch = 0; batch < BatchCount(inputs_[0].size(0), size); ++batch) {
        const Range rows = BatchRows(inputs_[0].size(0), size, batch);
        model_->gradients().zero_();
        const std::vector<Tensor> outputs = model_->Forward(Rows(inputs_, rows), true);
        loss_->Compute(outputs, TargetRows(rows), model_->RegularizationLoss(), sums).backward();
        step(iteration++);
        model_->ApplyConstraints();
      }
      history.push_back(Values(sums));
    }
    model_->To(at::kCPU);
    for (Tensor& slot : slots) slot = slot.cpu();
    optimizer->Finalize(Span(model_->parameters().narrow(0, 0, count)), Spans(slots));
    reply_[name_]["history"] = history;
    AddWeights();
    return OkStatus();
  }

  const json& request_;
  const safetensors::File& file_;
  const at::Device device_;
  std::string name_;
  Reply& reply_;
  std::unique_ptr<Model> model_;
  std::vector<Weight*> weights_;
  std::unique_ptr<CompiledLoss> loss_;
  std::vector<Tensor> inputs_;
  Targets targets_;
};

int Main(const std::string& directory, Device wanted) {
  at::set_num_threads(1);
  const Result<WorkerDevice> device = OpenDevice(wanted);
  if (!device.ok()) {
    std::cerr << device.status().message() << "\n";
    return 1;
  }
  UsePrecision(Precision::kFloat32);
  std::ifstream in(directory + "/request.json");
  const json request = json::parse(in);
  const Result<safetensors::File> file = safetensors::ReadFile(directory + "/request.safetensors");
  if (!file.ok()) {
    std::cerr << file.status().message() << "\n";
    return 1;
  }
  Reply reply;
  for (const json& entry : request.at("cases")) {
    const std::string name = entry.at("name");
    reply[name] = json::object();
    try {
      const Status status = Case(entry, *file, device->device, reply).Run();
      if (!status.ok()) reply[name]["error"] = status.message();
    } catch (const c10::Error& error) {
      reply[name]["error"] = std::string("exception: ") + error.what_without_backtrace();
    } catch (const std::exception& error) {
      reply[name]["error"] = std::string("exception: ") + error.what();
    }
  }
  const Status status = reply.Write(directory);
  if (!status.ok()) std::cerr << status.message() << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace elephas::keras

int main(int argc, char** argv) {
  const bool cuda = argc == 3 && std::string_view(argv[2]) == "cuda";
  if (argc != 2 && !cuda) {
    std::cerr << "usage: elephas-keras-probe DIRECTORY [cuda] | --reference | --supported\n";
    return 2;
  }
  if (std::string_view(argv[1]) == "--reference") {
    std::cout << elephas::keras::SupportedMarkdown();
    return 0;
  }
  if (std::string_view(argv[1]) == "--supported") {
    std::cout << elephas::keras::SupportedNames().dump(1) << "\n";
    return 0;
  }
  try {
    return elephas::keras::Main(argv[1], cuda ? elephas::Device::kCuda : elephas::Device::kCpu);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
