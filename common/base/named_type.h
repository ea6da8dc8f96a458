// Integers that cannot be swapped by accident: Epoch is not a Partition.
#pragma once

#include <compare>
#include <cstdint>

namespace elephas {

template <typename Tag>
class NamedInt {
 public:
  constexpr NamedInt() = default;
  constexpr explicit NamedInt(std::int64_t value) : value_(value) {}
  [[nodiscard]] constexpr std::int64_t value() const { return value_; }
  constexpr NamedInt& operator++() {
    ++value_;
    return *this;
  }
  friend constexpr auto operator<=>(const NamedInt&, const NamedInt&) = default;

 private:
  std::int64_t value_ = 0;
};

using Epoch = NamedInt<struct EpochTag>;              // from 0
using Partition = NamedInt<struct PartitionTag>;      // from 0
using Version = NamedInt<struct VersionTag>;          // updates or rounds applied, from 0
using LeaseId = NamedInt<struct LeaseIdTag>;          // grows with every grant; 0 is "none"
using Incarnation = NamedInt<struct IncarnationTag>;  // grows with every (re)start of a server
using Generation =
    NamedInt<struct GenerationTag>;  // changes with the set of workers in a group; 0: none

}  // namespace elephas
