#include "cli/terminal/progress_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "common/base/terminal_text.h"
#include "common/base/utf8.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

std::string Printf(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

// The value of a number field; `otherwise` when it is missing or null.
double NumberOf(const json& object, std::string_view name, double otherwise = 0) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_number() ? found->get<double>() : otherwise;
}

std::string TextOf(const json& object, std::string_view name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json& FieldOf(const json& object, std::string_view name) {
  static const json kNull;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() ? *found : kNull;
}

constexpr std::string_view kGreen = "\x1b[32m", kBold = "\x1b[1m", kDim = "\x1b[2m",
                           kPlain = "\x1b[0m";

// A piece of the progress line. Pieces with the largest `rank` go first when the line is too long.
struct Piece {
  std::string text;
  std::string_view gap;  // before it
  int rank = 0;
  std::string_view colour;
};

std::size_t Width(const std::vector<Piece>& pieces) {
  std::size_t width = 0;
  for (const Piece& piece : pieces) {
    width += (&piece == &pieces.front() ? 0 : piece.gap.size()) + DisplayWidth(piece.text);
  }
  return width;
}

// The longest beginning of `text` that takes at most `width` columns.
std::string Cut(std::string_view text, std::size_t width) {
  std::size_t end = text.size();
  while (end > 0 && DisplayWidth(Utf8Head(text, end)) > width) end = Utf8Head(text, end - 1).size();
  return std::string(Utf8Head(text, end));
}

std::string Fitted(std::vector<Piece> pieces, std::size_t width, bool colour) {
  while (pieces.size() > 1 && Width(pieces) > width) {
    // Of equal rank the last one goes.
    auto worst = pieces.begin() + 1;
    for (auto it = worst; it != pieces.end(); ++it) {
      if (it->rank >= worst->rank) worst = it;
    }
    pieces.erase(worst);
  }
  std::string line;
  for (const Piece& piece : pieces) {
    if (&piece != &pieces.front()) line += piece.gap;
    if (colour && !piece.colour.empty()) line += piece.colour;
    line += pieces.size() == 1 ? Cut(piece.text, width) : piece.text;
    if (colour && !piece.colour.empty()) line += kPlain;
  }
  return line;
}

std::string Bar(double share, std::size_t columns) {
  share = std::clamp(share, 0.0, 1.0);
  const auto done = static_cast<std::size_t>(share * static_cast<double>(columns));
  std::string bar(done, '=');
  if (done < columns) bar += '>';
  bar.resize(columns, ' ');
  return "[" + bar + "]";
}

std::string Headline(const json& status) {
  const std::string state = TextOf(status, "state"), task = TextOf(status, "task");
  if (state == "Initializing") return "Starting: workers load model and data";
  if (state == "Finalizing") return "Writing the results";
  if (task == "evaluate") return "Evaluating";
  if (task == "predict") return "Predicting";
  const double epochs = NumberOf(status, "epochs");
  const double epoch = std::min(NumberOf(status, "epoch") + 1, std::max(epochs, 1.0));
  return "Epoch " + CountText(epoch) + "/" + CountText(epochs);
}

// loss, then the others by name, then those of the validation in the same order.
std::vector<std::string> MetricOrder(const json& metrics) {
  std::vector<std::string> names;
  if (!metrics.is_object()) return names;
  for (const auto& [name, value] : metrics.items()) names.push_back(name);
  const auto rank = [](std::string_view name) {
    const bool validation = name.starts_with("val_");
    if (validation) name.remove_prefix(4);
    return (validation ? 2 : 0) + (name == "loss" ? 0 : 1);
  };
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return std::pair(rank(a), std::string_view(a)) < std::pair(rank(b), std::string_view(b));
  });
  return names;
}

// Epochs that a history holds.
std::size_t EpochCount(const json& history) {
  std::size_t count = 0;
  if (!history.is_object()) return count;
  for (const auto& [name, values] : history.items()) {
    if (values.is_array()) count = std::max(count, values.size());
  }
  return count;
}

FinishedEpoch EpochAt(const json& status, std::size_t index) {
  FinishedEpoch epoch;
  epoch.number = static_cast<std::int64_t>(index) + 1;
  epoch.epochs = static_cast<std::int64_t>(NumberOf(status, "epochs"));
  for (const auto& [name, values] : FieldOf(status, "history").items()) {
    if (!values.is_array() || index >= values.size()) continue;
    const json& value = values[index];
    if (name == "examples") {
      epoch.examples = value.is_number() ? value.get<double>() : 0;
    } else if (name == "seconds") {
      epoch.seconds = value.is_number() ? value.get<double>() : 0;
    } else if (!value.is_object()) {  // a value that is not known; null is NaN
      epoch.metrics[name] = value;
    }
  }
  return epoch;
}

}  // namespace

std::string CountText(double count) {
  std::string digits = Printf("%.0f", count);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string MetricText(const json& value) {
  if (!value.is_number()) return "nan";
  const double number = value.get<double>();
  return Printf(std::abs(number) >= 1e-3 || number == 0 ? "%.4f" : "%.4e", number);
}

std::string DurationText(double seconds) {
  if (!(seconds >= 0)) return "?";
  if (seconds < 9.95) return Printf("%.1f s", seconds);
  const double whole = std::round(seconds);
  if (whole < 60) return Printf("%.0f s", whole);
  if (whole < 3600) {
    return Printf("%.0f min ", std::floor(whole / 60)) + Printf("%.0f s", std::fmod(whole, 60));
  }
  return Printf("%.0f h ", std::floor(whole / 3600)) +
         Printf("%02.0f min", std::floor(std::fmod(whole, 3600) / 60));
}

std::vector<std::string> MetricTexts(const json& metrics) {
  std::vector<std::string> texts;
  for (const std::string& name : MetricOrder(metrics)) {
    texts.push_back(TerminalText(name) + " " + MetricText(metrics[name]));
  }
  return texts;
}

std::string MetricsText(const json& metrics) {
  std::string text;
  for (const std::string& metric : MetricTexts(metrics)) text += (text.empty() ? "" : " ") + metric;
  return text;
}

std::size_t DisplayWidth(std::string_view text) {
  // Characters, not bytes: UTF-8 continuation bytes take no column.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string ProgressLine(const json& status, std::size_t width, bool colour) {
  const std::string state = TextOf(status, "state");
  std::vector<Piece> pieces{{Headline(status), "", 0, kBold}};
  if (state != "Running") return Fitted(std::move(pieces), width, colour);

  const double examples = NumberOf(status, "examples"),
               total = NumberOf(status, "examplesPerEpoch");
  const double share = total > 0 ? examples / total : NumberOf(status, "progress");
  constexpr std::size_t kBarColumns = 20, kShortBarColumns = 10;
  pieces.push_back({Bar(share, kBarColumns), " ", 4, kGreen});
  if (total > 0) pieces.push_back({CountText(examples) + "/" + CountText(total), " ", 3, {}});
  std::string_view gap = "  ";
  for (std::string& metric : MetricTexts(FieldOf(status, "metrics"))) {
    pieces.push_back({std::move(metric), gap, 2, {}});
    gap = " ";
  }
  if (const double rate = NumberOf(status, "examplesPerSecond"); rate > 0) {
    pieces.push_back({CountText(rate) + " examples/s", "  ", 5, kDim});
  }
  if (const double left = NumberOf(status, "secondsRemaining", -1); left >= 0) {
    const double whole = std::ceil(left);  // "2 s", without the decimal that a measured time has
    pieces.push_back(
        {(whole < 10 ? Printf("%.0f s", whole) : DurationText(whole)) + " left", "  ", 4, kDim});
  }
  if (Width(pieces) > width) pieces[1].text = Bar(share, kShortBarColumns);
  return Fitted(std::move(pieces), width, colour);
}

std::string EpochLine(const FinishedEpoch& epoch) {
  std::string line = "Epoch " + CountText(static_cast<double>(epoch.number)) + "/" +
                     CountText(static_cast<double>(epoch.epochs));
  // A cluster's status does not tell them.
  if (epoch.examples > 0) {
    line += "  " + CountText(epoch.examples) + " examples in " + DurationText(epoch.seconds);
  }
  const std::string metrics = MetricsText(epoch.metrics);
  return metrics.empty() ? line : line + "  " + metrics;
}

std::vector<FinishedEpoch> EpochLog::Take(const json& status) {
  std::vector<FinishedEpoch> finished;
  const std::size_t count = EpochCount(FieldOf(status, "history"));
  // A server that has just come back knows no history yet; that is not going back to the start.
  if (count < reported_ && TextOf(status, "state") != "Initializing") reported_ = count;
  for (; reported_ < count; ++reported_) finished.push_back(EpochAt(status, reported_));
  return finished;
}

json FinalMetrics(const json& status) {
  const json& result = FieldOf(FieldOf(status, "result"), "metrics");
  if (result.is_object()) return result;
  const std::size_t epochs = EpochCount(FieldOf(status, "history"));
  return epochs == 0 ? json::object() : EpochAt(status, epochs - 1).metrics;
}

}  // namespace elephas::cli
