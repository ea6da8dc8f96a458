// xoshiro128++ (Blackman and Vigna 2019) in lanes that do not depend on each other, so that the
// compiler turns one step of all of them into a few vector instructions.
#include "worker/keras/functions/keep_mask.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "common/base/random.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ELEPHAS_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ELEPHAS_VECTOR_CLONES
#endif

namespace elephas::keras {

namespace {

constexpr std::size_t kLanes = 16;
using Lanes = std::array<std::uint32_t, kLanes>;
struct State {
  Lanes a, b, c, d;
};

ELEPHAS_VECTOR_CLONES
void Fill(float* __restrict values, std::size_t blocks, std::uint32_t threshold, float kept,
          State& state) {
  State s = state;
  for (std::size_t block = 0; block < blocks; ++block, values += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::uint32_t sum = s.a[i] + s.d[i];
      const std::uint32_t drawn = ((sum << 7U) | (sum >> 25U)) + s.a[i];
      const std::uint32_t shifted = s.b[i] << 9U;
      s.c[i] ^= s.a[i];
      s.d[i] ^= s.b[i];
      s.b[i] ^= s.c[i];
      s.a[i] ^= s.d[i];
      s.c[i] ^= shifted;
      s.d[i] = (s.d[i] << 11U) | (s.d[i] >> 21U);
      values[i] = drawn < threshold ? kept : 0.0F;
    }
  }
  state = s;
}

}  // namespace

void FillKeepMask(std::span<float> values, double keep, float kept, std::uint64_t seed) {
  SplitMix64 seeds(seed);
  State state{};
  for (Lanes* lanes : {&state.a, &state.b, &state.c, &state.d}) {
    for (std::uint32_t& lane : *lanes) lane = static_cast<std::uint32_t>(seeds.Next() >> 32U);
  }
  // A probability of one would need one bit more; what is lost is one in four thousand million.
  const double scaled = std::round(keep * 4294967296.0);
  const auto threshold = static_cast<std::uint32_t>(std::min(scaled, 4294967295.0));
  const std::size_t blocks = values.size() / kLanes;
  Fill(values.data(), blocks, threshold, kept, state);
  std::array<float, kLanes> rest{};
  Fill(rest.data(), 1, threshold, kept, state);
  std::copy_n(rest.begin(), values.size() % kLanes, values.data() + blocks * kLanes);
}

}  // namespace elephas::keras
