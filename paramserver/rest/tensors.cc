#include "paramserver/rest/tensors.h"

#include <array>
#include <bit>

namespace elephas::rest {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little endian");

constexpr std::uint64_t kLengthBytes = 8;

std::uint64_t Elements(const std::vector<std::int64_t>& shape) {
  std::uint64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= static_cast<std::uint64_t>(extent);
  return elements;
}

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

Status Check(const safetensors::TensorInfo& tensor, const TensorSpec& spec) {
  const std::string where = "tensor '" + tensor.name + "': ";
  if (tensor.dtype != "F32") return Invalid(where + "dtype is " + tensor.dtype + ", not F32");
  if (tensor.shape != spec.shape) {
    return Invalid(where + "shape is " + ShapeText(tensor.shape) + ", not " +
                   ShapeText(spec.shape));
  }
  return OkStatus();
}

}  // namespace

std::vector<TensorSpec> ModelTensors(std::string_view name, const BodyShape& shape) {
  return {{.name = name, .shape = {shape.parameters.size()}},
          {.name = "slots", .shape = {shape.slot_count, shape.slots.size()}, .required = false}};
}

TensorBody::TensorBody(std::vector<TensorSpec> specs, std::uint64_t max_header)
    : specs_(std::move(specs)), max_header_(max_header) {}

std::uint64_t TensorBody::max_bytes() const {
  std::uint64_t bytes = kLengthBytes + max_header_;
  for (const TensorSpec& spec : specs_) bytes += sizeof(float) * Elements(spec.shape);
  return bytes;
}

const TensorSpec* TensorBody::Find(std::string_view name) const {
  for (const TensorSpec& spec : specs_) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

Status TensorBody::ReadHeader(HttpRequest& request) {
  if (request.content_length() < kLengthBytes) {
    return Invalid("the body is no safetensors file: shorter than 8 bytes");
  }
  std::uint64_t length = 0;
  ELEPHAS_RETURN_IF_ERROR(request.ReadBody(std::as_writable_bytes(std::span(&length, 1))));
  if (length > max_header_ || length > request.body_left()) {
    return Invalid("the body is no safetensors file: its header has " + std::to_string(length) +
                   " bytes");
  }
  std::string json(length, '\0');
  ELEPHAS_RETURN_IF_ERROR(request.ReadBody(std::as_writable_bytes(std::span(json))));
  ELEPHAS_ASSIGN_OR_RETURN(header_, safetensors::ParseHeader(json));
  for (const safetensors::TensorInfo& tensor : header_.tensors) {
    const TensorSpec* spec = Find(tensor.name);
    if (spec == nullptr) return Invalid("tensor '" + tensor.name + "' is not expected");
    ELEPHAS_RETURN_IF_ERROR(Check(tensor, *spec));
  }
  for (const TensorSpec& spec : specs_) {
    if (spec.required && header_.Find(spec.name) == nullptr) {
      return Invalid("tensor '" + std::string(spec.name) + "' is missing");
    }
  }
  if (header_.data_bytes != request.body_left()) {
    return Invalid("the tensors have " + std::to_string(header_.data_bytes) +
                   " bytes, the body holds " + std::to_string(request.body_left()));
  }
  return OkStatus();
}

const std::string* TensorBody::Metadata(const std::string& name) const {
  const auto found = header_.metadata.find(name);
  return found == header_.metadata.end() ? nullptr : &found->second;
}

Status TensorBody::ReadData(HttpRequest& request, JobBasics& job) {
  // The header lists tensors in the order of their bytes.
  for (const safetensors::TensorInfo& tensor : header_.tensors) {
    const bool matrix = tensor.shape.size() == 2;
    const std::int64_t vectors = matrix ? tensor.shape[0] : 1;
    std::vector<std::shared_ptr<FloatBuffer>> buffers;
    for (std::int64_t i = 0; i < vectors; ++i) {
      ELEPHAS_ASSIGN_OR_RETURN(auto buffer, job.AcquireBuffer(tensor.shape.back()));
      ELEPHAS_RETURN_IF_ERROR(request.ReadBody(std::as_writable_bytes(buffer->floats())));
      buffers.push_back(std::move(buffer));
    }
    read_.emplace_back(tensor.name, std::move(buffers));
  }
  return OkStatus();
}

std::vector<std::shared_ptr<FloatBuffer>> TensorBody::Take(std::string_view name) {
  for (auto& [key, buffers] : read_) {
    if (key == name) return std::move(buffers);
  }
  return {};
}

}  // namespace elephas::rest
