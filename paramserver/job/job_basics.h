// What every part of the edge needs to know: whose job this is, which incarnation it is in, and how
// large the bodies are that it takes. Thread-safe, as the JobService behind it is.
#pragma once

#include <cstdint>
#include <memory>

#include "common/base/named_type.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/protocol/partitioning.h"
#include "paramserver/store/float_buffer.h"

namespace elephas {

// What tensors of this server must look like. All of one moment.
struct BodyShape {
  Range parameters;             // of the flat arena: elements of this server
  Range slots;                  // the trained ones among them, which each slot has
  std::int64_t slot_count = 0;  // of the optimizer
};

class JobBasics {
 public:
  virtual ~JobBasics() = default;

  [[nodiscard]] virtual const JobSpec& spec() const = 0;
  [[nodiscard]] virtual Incarnation CurrentIncarnation() const = 0;
  // kConflict before SetLayout.
  [[nodiscard]] virtual Result<BodyShape> Expects() const = 0;
  // kUnavailable when memory is exhausted. The contents are unspecified.
  virtual Result<std::shared_ptr<FloatBuffer>> AcquireBuffer(std::int64_t elements) = 0;
};

}  // namespace elephas
