#include "worker/keras/weights/initializer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/random.h"

namespace elephas::keras {

namespace {

using nlohmann::json;

// The standard deviation of a unit normal cut at two standard deviations.
constexpr double kTruncatedStddev = 0.87962566103423978;

// Normal numbers two at a time by Box and Muller.
class NormalSource {
 public:
  explicit NormalSource(std::uint64_t seed) : random_(seed) {}
  double Next() {
    if (spare_) return *std::exchange(spare_, std::nullopt);
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random_.NextDouble()));
    const double angle = 2.0 * std::numbers::pi * random_.NextDouble();
    spare_ = radius * std::sin(angle);
    return radius * std::cos(angle);
  }
  double NextTruncated() {
    for (;;) {
      if (const double value = Next(); std::abs(value) <= 2.0) return value;
    }
  }

 private:
  SplitMix64 random_;
  std::optional<double> spare_;
};

Initializer Normal(double mean, double stddev) {
  return [=](const Shape&, std::uint64_t seed, std::span<float> values) {
    NormalSource source(seed);
    for (float& value : values) value = static_cast<float>(mean + stddev * source.Next());
  };
}

Initializer Truncated(double mean, double stddev) {
  return [=](const Shape&, std::uint64_t seed, std::span<float> values) {
    NormalSource source(seed);
    for (float& value : values) value = static_cast<float>(mean + stddev * source.NextTruncated());
  };
}

Initializer Uniform(double low, double high) {
  return [=](const Shape&, std::uint64_t seed, std::span<float> values) {
    SplitMix64 random(seed);
    for (float& value : values) {
      value = static_cast<float>(low + (high - low) * random.NextDouble());
    }
  };
}

struct Fans {
  double in = 1, out = 1;
};

Fans ComputeFans(const Shape& shape) {
  if (shape.empty()) return {};
  if (shape.size() == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  double field = 1;
  for (std::size_t i = 0; i + 2 < shape.size(); ++i) field *= static_cast<double>(shape[i]);
  return {field * static_cast<double>(shape[shape.size() - 2]),
          field * static_cast<double>(shape.back())};
}

double AxisProduct(const Shape& shape, const std::vector<std::int64_t>& axes) {
  double product = 1;
  for (const std::int64_t axis : axes) {
    const Result<std::int64_t> index = NormalizeAxis(axis, shape.size());
    if (index.ok()) product *= static_cast<double>(shape[static_cast<std::size_t>(*index)]);
  }
  return product;
}

struct Scaling {
  double scale = 1.0;
  std::string mode = "fan_in";
  std::string distribution = "truncated_normal";
};

Initializer VarianceScaling(ConfigReader& config, const Scaling& scaling) {
  std::optional<std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>> axes;
  if (config.Has("input_axes") && config.Has("output_axes")) {
    axes.emplace(config.IntList("input_axes", -16, 16), config.IntList("output_axes", -16, 16));
  }
  config.Ignore({"input_axes", "output_axes"});
  return [=](const Shape& shape, std::uint64_t seed, std::span<float> values) {
    Fans fans = ComputeFans(shape);
    if (axes) fans = {AxisProduct(shape, axes->first), AxisProduct(shape, axes->second)};
    double fan = (fans.in + fans.out) / 2.0;
    if (scaling.mode == "fan_in") fan = fans.in;
    if (scaling.mode == "fan_out") fan = fans.out;
    const double scale = scaling.scale / std::max(1.0, fan);
    if (scaling.distribution == "uniform") {
      const double limit = std::sqrt(3.0 * scale);
      Uniform(-limit, limit)(shape, seed, values);
    } else if (scaling.distribution == "untruncated_normal") {
      Normal(0.0, std::sqrt(scale))(shape, seed, values);
    } else {
      Truncated(0.0, std::sqrt(scale) / kTruncatedStddev)(shape, seed, values);
    }
  };
}

Initializer GeneralVarianceScaling(ConfigReader& config) {
  Scaling scaling;
  scaling.scale = config.Number("scale", 1.0);
  if (scaling.scale <= 0) config.Fail("'scale' must be positive");
  scaling.mode = config.Choice("mode", "fan_in", {"fan_in", "fan_out", "fan_avg"});
  scaling.distribution =
      config.Choice("distribution", "truncated_normal",
                    {"uniform", "normal", "truncated_normal", "untruncated_normal"});
  return VarianceScaling(config, scaling);
}

// Rows (or columns) of a random orthogonal matrix: modified Gram-Schmidt, run twice for accuracy,
// on a normal matrix. Its R has a positive diagonal, which is the sign that Keras fixes.
Initializer Orthogonal(ConfigReader& config) {
  const double gain = config.Number("gain", 1.0);
  return [gain](const Shape& shape, std::uint64_t seed, std::span<float> values) {
    if (shape.size() < 2 || values.empty()) return;
    const auto columns = static_cast<std::size_t>(shape.back());
    const std::size_t rows = values.size() / columns;
    const std::size_t count = std::min(rows, columns);  // orthonormal vectors
    const std::size_t length = std::max(rows, columns);
    NormalSource source(seed);
    std::vector<std::vector<double>> vectors(count, std::vector<double>(length));
    for (std::vector<double>& vector : vectors) {
      for (double& value : vector) value = source.Next();
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<double>& current = vectors[i];
      for (int pass = 0; pass < 2; ++pass) {
        for (std::size_t j = 0; j < i; ++j) {
          double dot = 0;
          for (std::size_t k = 0; k < length; ++k) dot += vectors[j][k] * current[k];
          for (std::size_t k = 0; k < length; ++k) current[k] -= dot * vectors[j][k];
        }
      }
      double norm = 0;
      for (const double value : current) norm += value * value;
      norm = std::sqrt(norm);
      for (double& value : current) value /= norm;
    }
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column) {
        const double value = rows < columns ? vectors[row][column] : vectors[column][row];
        values[row * columns + column] = static_cast<float>(gain * value);
      }
    }
  };
}

Initializer Identity(ConfigReader& config) {
  const double gain = config.Number("gain", 1.0);
  return [gain](const Shape& shape, std::uint64_t, std::span<float> values) {
    std::fill(values.begin(), values.end(), 0.0F);
    if (shape.size() != 2) return;
    const auto columns = static_cast<std::size_t>(shape[1]);
    const auto count = static_cast<std::size_t>(std::min(shape[0], shape[1]));
    for (std::size_t i = 0; i < count; ++i) values[i * columns + i] = static_cast<float>(gain);
  };
}

using Builder = Initializer (*)(ConfigReader&);
struct InitializerEntry {
  std::string_view class_name;  // Keras' class; the snake-case name of it is accepted too
  Builder build;
};

constexpr std::array<InitializerEntry, 17> kInitializers{{
    {"Zeros", [](ConfigReader&) { return ConstantInitializer(0.0F); }},
    {"Ones", [](ConfigReader&) { return ConstantInitializer(1.0F); }},
    {"Constant",
     [](ConfigReader& c) {
       return ConstantInitializer(static_cast<float>(c.Number("value", 0.0)));
     }},
    {"Identity", Identity},
    {"Orthogonal", Orthogonal},
    {"RandomNormal",
     [](ConfigReader& c) { return Normal(c.Number("mean", 0.0), c.Number("stddev", 0.05)); }},
    {"TruncatedNormal",
     [](ConfigReader& c) { return Truncated(c.Number("mean", 0.0), c.Number("stddev", 0.05)); }},
    {"RandomUniform",
     [](ConfigReader& c) { return Uniform(c.Number("minval", -0.05), c.Number("maxval", 0.05)); }},
    {"VarianceScaling", GeneralVarianceScaling},
    {"GlorotUniform",
     [](ConfigReader& c) { return VarianceScaling(c, {1.0, "fan_avg", "uniform"}); }},
    {"GlorotNormal",
     [](ConfigReader& c) { return VarianceScaling(c, {1.0, "fan_avg", "truncated_normal"}); }},
    {"HeUniform", [](ConfigReader& c) { return VarianceScaling(c, {2.0, "fan_in", "uniform"}); }},
    {"HeNormal",
     [](ConfigReader& c) { return VarianceScaling(c, {2.0, "fan_in", "truncated_normal"}); }},
    {"LecunUniform",
     [](ConfigReader& c) { return VarianceScaling(c, {1.0, "fan_in", "uniform"}); }},
    {"LecunNormal",
     [](ConfigReader& c) { return VarianceScaling(c, {1.0, "fan_in", "truncated_normal"}); }},
    {"OrthogonalInitializer", Orthogonal},
    {"IdentityInitializer", Identity},
}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kAliases{{
    {"zero", "Zeros"},
    {"one", "Ones"},
    {"normal", "RandomNormal"},
    {"uniform", "RandomUniform"},
}};

std::string SnakeCase(std::string_view name) {
  std::string snake;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      if (!snake.empty()) snake += '_';
      snake += static_cast<char>(c - 'A' + 'a');
    } else {
      snake += c;
    }
  }
  return snake;
}

}  // namespace

Initializer ConstantInitializer(float value) {
  return [value](const Shape&, std::uint64_t, std::span<float> values) {
    std::fill(values.begin(), values.end(), value);
  };
}

std::vector<std::string_view> InitializerNames() {
  std::vector<std::string_view> names;
  for (const InitializerEntry& entry : kInitializers) names.push_back(entry.class_name);
  return names;
}

Result<Initializer> ParseInitializer(const json& input, const std::string& fallback,
                                     const std::string& where) {
  ObjectConfig object{fallback, json::object()};
  if (!input.is_null()) {
    ELEPHAS_ASSIGN_OR_RETURN(object, ParseObject(input, where));
  }
  for (const auto& [alias, name] : kAliases) {
    if (object.name == alias) object.name = name;
  }
  for (const InitializerEntry& entry : kInitializers) {
    if (object.name != entry.class_name && object.name != SnakeCase(entry.class_name)) continue;
    ConfigReader reader(object.config, where + " (" + object.name + ")");
    reader.Ignore({"seed", "dtype"});
    Initializer initializer = entry.build(reader);
    ELEPHAS_RETURN_IF_ERROR(reader.Finish());
    // An initializer with a seed of its own gives the same numbers whatever the job's seed is.
    const auto own_seed = object.config.find("seed");
    if (own_seed != object.config.end() && own_seed->is_number_integer()) {
      const auto fixed = static_cast<std::uint64_t>(own_seed->get<std::int64_t>());
      return Initializer(
          [initializer, fixed](const Shape& shape, std::uint64_t, std::span<float> values) {
            initializer(shape, MixSeed({fixed}), values);
          });
    }
    return initializer;
  }
  return Invalid(where + ": initializer '" + object.name + "' is not supported");
}

Initializer ReadInitializer(ConfigReader& config, const std::string& name,
                            const std::string& fallback) {
  Result<Initializer> initializer = ParseInitializer(config.Any(name), fallback, "'" + name + "'");
  if (initializer.ok()) return *std::move(initializer);
  config.Fail(initializer.status());
  return ConstantInitializer(0.0F);
}

}  // namespace elephas::keras
