// Every loop goes element by element without a reduction, so the compiler vectorizes it; the AVX2
// clones leave out FMA, so they give the same bits as the baseline.
#include "common/optimizer/loops.h"

#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ELEPHAS_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ELEPHAS_VECTOR_CLONES
#endif

namespace elephas::loops {

ELEPHAS_VECTOR_CLONES
void SgdLoop(std::size_t n, float* __restrict p, const float* __restrict g, float rate) {
  for (std::size_t i = 0; i < n; ++i) p[i] -= g[i] * rate;
}

ELEPHAS_VECTOR_CLONES
void MomentumLoop(std::size_t n, float* __restrict p, const float* __restrict g,
                  float* __restrict m, float rate, float momentum) {
  for (std::size_t i = 0; i < n; ++i) {
    m[i] = m[i] * momentum - g[i] * rate;
    p[i] += m[i];
  }
}

ELEPHAS_VECTOR_CLONES
void NesterovLoop(std::size_t n, float* __restrict p, const float* __restrict g,
                  float* __restrict m, float rate, float momentum) {
  for (std::size_t i = 0; i < n; ++i) {
    const float step = g[i] * rate;
    m[i] = m[i] * momentum - step;
    p[i] += m[i] * momentum - step;
  }
}

ELEPHAS_VECTOR_CLONES
void AdamLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
              float* __restrict v, AdamFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    m[i] += (g[i] - m[i]) * f.one_minus_beta_1;
    v[i] += (g[i] * g[i] - v[i]) * f.one_minus_beta_2;
    p[i] -= m[i] * f.alpha / (std::sqrt(v[i]) + f.epsilon);
  }
}

ELEPHAS_VECTOR_CLONES
void AmsgradLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
                 float* __restrict v, float* __restrict v_hat, AdamFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    m[i] += (g[i] - m[i]) * f.one_minus_beta_1;
    v[i] += (g[i] * g[i] - v[i]) * f.one_minus_beta_2;
    v_hat[i] = v_hat[i] > v[i] ? v_hat[i] : v[i];
    p[i] -= m[i] * f.alpha / (std::sqrt(v_hat[i]) + f.epsilon);
  }
}

ELEPHAS_VECTOR_CLONES
void RmsLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict v,
             RmsFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = f.rho * v[i] + f.one_minus_rho * (g[i] * g[i]);
    p[i] -= f.rate * g[i] / std::sqrt(v[i] + f.epsilon);
  }
}

ELEPHAS_VECTOR_CLONES
void RmsMomentumLoop(std::size_t n, float* __restrict p, const float* __restrict g,
                     float* __restrict v, float* __restrict m, RmsFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = f.rho * v[i] + f.one_minus_rho * (g[i] * g[i]);
    m[i] = f.momentum * m[i] + f.rate * g[i] / std::sqrt(v[i] + f.epsilon);
    p[i] -= m[i];
  }
}

ELEPHAS_VECTOR_CLONES
void CenteredLoop(std::size_t n, float* __restrict p, const float* __restrict g,
                  float* __restrict v, float* __restrict a, RmsFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = f.rho * v[i] + f.one_minus_rho * (g[i] * g[i]);
    a[i] = f.rho * a[i] + f.one_minus_rho * g[i];
    p[i] -= f.rate * g[i] / std::sqrt(v[i] - a[i] * a[i] + f.epsilon);
  }
}

ELEPHAS_VECTOR_CLONES
void CenteredMomentumLoop(std::size_t n, float* __restrict p, const float* __restrict g,
                          float* __restrict v, float* __restrict m, float* __restrict a,
                          RmsFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = f.rho * v[i] + f.one_minus_rho * (g[i] * g[i]);
    a[i] = f.rho * a[i] + f.one_minus_rho * g[i];
    m[i] = f.momentum * m[i] + f.rate * g[i] / std::sqrt(v[i] - a[i] * a[i] + f.epsilon);
    p[i] -= m[i];
  }
}

ELEPHAS_VECTOR_CLONES
void AdagradLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict a,
                 float rate, float epsilon) {
  for (std::size_t i = 0; i < n; ++i) {
    a[i] += g[i] * g[i];
    p[i] -= rate * g[i] / std::sqrt(a[i] + epsilon);
  }
}

ELEPHAS_VECTOR_CLONES
void AdadeltaLoop(std::size_t n, float* __restrict p, const float* __restrict g,
                  float* __restrict grads, float* __restrict deltas, float rate, float rho,
                  float one_minus_rho, float epsilon) {
  for (std::size_t i = 0; i < n; ++i) {
    grads[i] = rho * grads[i] + one_minus_rho * (g[i] * g[i]);
    const float delta = -(std::sqrt(deltas[i] + epsilon) * g[i] / std::sqrt(grads[i] + epsilon));
    deltas[i] = rho * deltas[i] + one_minus_rho * (delta * delta);
    p[i] += rate * delta;
  }
}

ELEPHAS_VECTOR_CLONES
void AdamaxLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
                float* __restrict u, float rate, float one_minus_beta_1, float beta_2,
                float correction, float epsilon) {
  for (std::size_t i = 0; i < n; ++i) {
    m[i] += (g[i] - m[i]) * one_minus_beta_1;
    const float decayed = beta_2 * u[i];
    const float size = std::fabs(g[i]);
    u[i] = decayed > size ? decayed : size;
    p[i] -= rate * m[i] / (correction * (u[i] + epsilon));
  }
}

ELEPHAS_VECTOR_CLONES
void NadamLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
               float* __restrict v, NadamFactors f) {
  for (std::size_t i = 0; i < n; ++i) {
    m[i] += (g[i] - m[i]) * f.one_minus_beta_1;
    v[i] += (g[i] * g[i] - v[i]) * f.one_minus_beta_2;
    const float m_hat =
        f.u_next * m[i] / f.one_minus_next_product + f.one_minus_u * g[i] / f.one_minus_product;
    const float v_hat = v[i] / f.one_minus_beta_2_power;
    p[i] -= m_hat * f.rate / (std::sqrt(v_hat) + f.epsilon);
  }
}

ELEPHAS_VECTOR_CLONES
void LionLoop(std::size_t n, float* __restrict p, const float* __restrict g, float* __restrict m,
              float rate, float beta_1, float beta_2, float one_minus_beta_1,
              float one_minus_beta_2) {
  for (std::size_t i = 0; i < n; ++i) {
    const float direction = m[i] * beta_1 + g[i] * one_minus_beta_1;
    const float sign = static_cast<float>(direction > 0.0F) - static_cast<float>(direction < 0.0F);
    p[i] -= rate * sign;
    m[i] = m[i] * beta_2 + g[i] * one_minus_beta_2;
  }
}

ELEPHAS_VECTOR_CLONES
void ScaleLoop(std::size_t n, float* values, float factor) {
  for (std::size_t i = 0; i < n; ++i) values[i] *= factor;
}

ELEPHAS_VECTOR_CLONES
void ClampLoop(std::size_t n, float* values, float bound) {
  for (std::size_t i = 0; i < n; ++i) {
    const float low = values[i] < -bound ? -bound : values[i];
    values[i] = low > bound ? bound : low;
  }
}

ELEPHAS_VECTOR_CLONES
void DecayLoop(std::size_t n, float* p, float decay, float rate) {
  for (std::size_t i = 0; i < n; ++i) p[i] -= p[i] * decay * rate;
}

ELEPHAS_VECTOR_CLONES
void AverageLoop(std::size_t n, float* __restrict average, const float* __restrict p,
                 float momentum) {
  for (std::size_t i = 0; i < n; ++i) {
    average[i] = momentum * average[i] + (1.0F - momentum) * p[i];
  }
}

ELEPHAS_VECTOR_CLONES
void AccumulateLoop(std::size_t n, float* __restrict accumulator, const float* __restrict g) {
  for (std::size_t i = 0; i < n; ++i) accumulator[i] += g[i];
}

double SumOfSquares(std::size_t n, const float* values) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

}  // namespace elephas::loops
