// The optimizers' inner loops over flat float32 vectors, apart from everything else so that they
// alone are compiled for speed. Pointers of one call must not overlap.
#pragma once

#include <cstddef>

namespace elephas::loops {

struct AdamFactors {
  float alpha, one_minus_beta_1, one_minus_beta_2, epsilon;
};

struct RmsFactors {
  float rate, rho, one_minus_rho, momentum, epsilon;
};

struct NadamFactors {
  float rate, one_minus_beta_1, one_minus_beta_2, epsilon;
  float u_next, one_minus_u, one_minus_product, one_minus_next_product, one_minus_beta_2_power;
};

void SgdLoop(std::size_t n, float* p, const float* g, float rate);
void MomentumLoop(std::size_t n, float* p, const float* g, float* m, float rate, float momentum);
void NesterovLoop(std::size_t n, float* p, const float* g, float* m, float rate, float momentum);
void AdamLoop(std::size_t n, float* p, const float* g, float* m, float* v, AdamFactors f);
void AmsgradLoop(std::size_t n, float* p, const float* g, float* m, float* v, float* v_hat,
                 AdamFactors f);
void RmsLoop(std::size_t n, float* p, const float* g, float* v, RmsFactors f);
void RmsMomentumLoop(std::size_t n, float* p, const float* g, float* v, float* m, RmsFactors f);
void CenteredLoop(std::size_t n, float* p, const float* g, float* v, float* a, RmsFactors f);
void CenteredMomentumLoop(std::size_t n, float* p, const float* g, float* v, float* m, float* a,
                          RmsFactors f);
void AdagradLoop(std::size_t n, float* p, const float* g, float* a, float rate, float epsilon);
void AdadeltaLoop(std::size_t n, float* p, const float* g, float* grads, float* deltas, float rate,
                  float rho, float one_minus_rho, float epsilon);
void AdamaxLoop(std::size_t n, float* p, const float* g, float* m, float* u, float rate,
                float one_minus_beta_1, float beta_2, float correction, float epsilon);
void NadamLoop(std::size_t n, float* p, const float* g, float* m, float* v, NadamFactors f);
void LionLoop(std::size_t n, float* p, const float* g, float* m, float rate, float beta_1,
              float beta_2, float one_minus_beta_1, float one_minus_beta_2);
void ScaleLoop(std::size_t n, float* values, float factor);
void ClampLoop(std::size_t n, float* values, float bound);
void DecayLoop(std::size_t n, float* p, float decay, float rate);
void AverageLoop(std::size_t n, float* average, const float* p, float momentum);
void AccumulateLoop(std::size_t n, float* accumulator, const float* g);
double SumOfSquares(std::size_t n, const float* values);

}  // namespace elephas::loops
