// Bodies of float32 tensors in the safetensors format, read from the socket into recycled buffers:
//
//   body := length header data      (see common/protocol/safetensors.h)
//
// First the 8 + length bytes that say what comes; the caller decides; then the data, without a
// copy. The size of every part is known from the model's layout, so nothing is allocated that the
// model does not need.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/server.h"
#include "common/protocol/safetensors.h"
#include "paramserver/job/job_basics.h"

namespace elephas::rest {

// A tensor that a body must or may hold.
struct TensorSpec {
  std::string_view name;
  std::vector<std::int64_t> shape;  // [elements], or [vectors, elements]
  bool required = true;
};

// A vector `name` of this server's range, and "slots", which may be missing.
std::vector<TensorSpec> ModelTensors(std::string_view name, const BodyShape& shape);

class TensorBody {
 public:
  // `max_header`: bytes that the JSON header may have.
  TensorBody(std::vector<TensorSpec> specs, std::uint64_t max_header);

  // The size that no body of this kind exceeds.
  [[nodiscard]] std::uint64_t max_bytes() const;

  // Reads length and header and holds them against the specs: kInvalid names the tensor whose name,
  // dtype, shape or size is wrong. Reads no data.
  Status ReadHeader(HttpRequest& request);
  // After ReadHeader. A value of __metadata__; nullptr when it has none of that name.
  [[nodiscard]] const std::string* Metadata(const std::string& name) const;

  // After ReadHeader. Reads all data into buffers of `job`.
  Status ReadData(HttpRequest& request, JobBasics& job);
  // After ReadData. One buffer per vector of the tensor; none when it is not in the body.
  std::vector<std::shared_ptr<FloatBuffer>> Take(std::string_view name);

 private:
  const TensorSpec* Find(std::string_view name) const;

  const std::vector<TensorSpec> specs_;
  const std::uint64_t max_header_;
  safetensors::Header header_;
  std::vector<std::pair<std::string, std::vector<std::shared_ptr<FloatBuffer>>>> read_;
};

}  // namespace elephas::rest
