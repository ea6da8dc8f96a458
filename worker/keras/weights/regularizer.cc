#include "worker/keras/weights/regularizer.h"

#include <array>
#include <string>
#include <vector>

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

constexpr double kEpsilon = 1e-7;  // keras.backend.epsilon()

Regularizer Penalty(double l1, double l2) {
  return [l1, l2](const Tensor& x) {
    Tensor total;
    if (l1 != 0.0) total = l1 * at::abs(x).sum();
    if (l2 != 0.0) {
      const Tensor squares = l2 * at::square(x).sum();
      total = total.defined() ? total + squares : squares;
    }
    return total.defined() ? total : at::zeros({}, x.options());
  };
}

Regularizer L1(ConfigReader& c) { return Penalty(c.Number("l1", 0.01), 0.0); }
Regularizer L2(ConfigReader& c) { return Penalty(0.0, c.Number("l2", 0.01)); }
Regularizer L1L2(ConfigReader& c) {
  // The bare name l1_l2 stands for 0.01 each in Keras' function, 0 in its class; configs are whole.
  return Penalty(c.Number("l1", 0.0), c.Number("l2", 0.0));
}

// factor * sum of |cosine| (rows against rows, or columns) off the diagonal, averaged over pairs.
Regularizer OrthogonalRegularizer(ConfigReader& c) {
  const double factor = c.Number("factor", 0.01);
  const bool rows = c.Choice("mode", "rows", {"rows", "columns"}) == "rows";
  return [factor, rows](const Tensor& x) {
    const Tensor vectors = rows ? x : x.t();
    const Tensor norms = at::sqrt(at::square(vectors).sum(1, true).clamp_min(1e-12));
    const Tensor unit = vectors / norms;
    const std::int64_t size = vectors.size(0);
    const Tensor cosines = at::matmul(unit, unit.t()) * (1.0 - at::eye(size, x.options()));
    const double pairs = static_cast<double>(size) * static_cast<double>(size - 1) / 2.0;
    return factor * 0.5 * at::abs(cosines).sum() / pairs;
  };
}

std::vector<std::int64_t> Axes(ConfigReader& c) {
  return c.Has("axis") ? c.IntList("axis", -16, 16) : std::vector<std::int64_t>{0};
}

Tensor Norms(const Tensor& w, const std::vector<std::int64_t>& axes) {
  return at::sqrt(at::square(w).sum(axes, /*keepdim=*/true));
}

Constraint MaxNorm(ConfigReader& c) {
  const double limit = c.Number("max_value", 2.0);
  const auto axes = Axes(c);
  return [=](const Tensor& w) {
    const Tensor norms = Norms(w, axes);
    return w * (at::clamp(norms, 0.0, limit) / (kEpsilon + norms));
  };
}

Constraint NonNeg(ConfigReader&) {
  return [](const Tensor& w) { return at::clamp_min(w, 0.0); };
}

Constraint UnitNorm(ConfigReader& c) {
  const auto axes = Axes(c);
  return [=](const Tensor& w) { return w / (kEpsilon + Norms(w, axes)); };
}

Constraint MinMaxNorm(ConfigReader& c) {
  const double low = c.Number("min_value", 0.0);
  const double high = c.Number("max_value", 1.0);
  const double rate = c.Number("rate", 1.0);
  const auto axes = Axes(c);
  return [=](const Tensor& w) {
    const Tensor norms = Norms(w, axes);
    const Tensor wanted = rate * at::clamp(norms, low, high) + (1.0 - rate) * norms;
    return w * (wanted / (kEpsilon + norms));
  };
}

template <typename Function>
struct RegularizerEntry {
  std::string_view class_name, alias;
  Function (*make)(ConfigReader&);
};
constexpr std::array<RegularizerEntry<Regularizer>, 4> kRegularizers{{
    {"L1", "l1", L1},
    {"L2", "l2", L2},
    {"L1L2", "l1_l2", L1L2},
    {"OrthogonalRegularizer", "orthogonal_regularizer", OrthogonalRegularizer},
}};
constexpr std::array<RegularizerEntry<Constraint>, 4> kConstraints{{
    {"MaxNorm", "max_norm", MaxNorm},
    {"NonNeg", "non_neg", NonNeg},
    {"UnitNorm", "unit_norm", UnitNorm},
    {"MinMaxNorm", "min_max_norm", MinMaxNorm},
}};

template <typename Function, std::size_t n>
Function Read(ConfigReader& config, std::string_view name, const char* kind,
              const std::array<RegularizerEntry<Function>, n>& table) {
  const json& option = config.Any(name);
  if (option.is_null()) return {};
  const std::string where = "'" + std::string(name) + "'";
  const Result<ObjectConfig> object = ParseObject(option, where);
  if (!object.ok()) {
    config.Fail(object.status());
    return {};
  }
  for (const RegularizerEntry<Function>& entry : table) {
    if (object->name != entry.class_name && object->name != entry.alias) continue;
    ConfigReader reader(object->config, where + " (" + object->name + ")");
    Function function = entry.make(reader);
    config.Fail(reader.Finish());
    return function;
  }
  config.Fail(where + ": " + kind + " '" + object->name + "' is not supported");
  return {};
}

template <typename Function, std::size_t n>
std::vector<std::string_view> Names(const std::array<RegularizerEntry<Function>, n>& table) {
  std::vector<std::string_view> names;
  for (const RegularizerEntry<Function>& entry : table) names.push_back(entry.class_name);
  return names;
}

}  // namespace

std::vector<std::string_view> RegularizerNames() { return Names(kRegularizers); }
std::vector<std::string_view> ConstraintNames() { return Names(kConstraints); }

Regularizer ReadRegularizer(ConfigReader& config, std::string_view name) {
  return Read(config, name, "regularizer", kRegularizers);
}

Constraint ReadConstraint(ConfigReader& config, std::string_view name) {
  return Read(config, name, "constraint", kConstraints);
}

}  // namespace elephas::keras
