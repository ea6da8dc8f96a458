#include "common/manifest/compile_names.h"

#include <algorithm>
#include <array>

namespace elephas {

namespace {

constexpr std::array<CompileName, 23> kLosses{{
    {"MeanSquaredError", "mean_squared_error", "mse"},
    {"MeanAbsoluteError", "mean_absolute_error", "mae"},
    {"MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape"},
    {"MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle"},
    {"CosineSimilarity", "cosine_similarity", ""},
    {"Huber", "huber", ""},
    {"LogCosh", "log_cosh", ""},
    {"LogCosh", "logcosh", ""},
    {"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", ""},
    {"CategoricalCrossentropy", "categorical_crossentropy", ""},
    {"CategoricalFocalCrossentropy", "categorical_focal_crossentropy", ""},
    {"BinaryCrossentropy", "binary_crossentropy", "bce"},
    {"BinaryFocalCrossentropy", "binary_focal_crossentropy", ""},
    {"KLDivergence", "kl_divergence", "kld"},
    {"Poisson", "poisson", ""},
    {"Hinge", "hinge", ""},
    {"SquaredHinge", "squared_hinge", ""},
    {"CategoricalHinge", "categorical_hinge", ""},
    {"Dice", "dice", ""},
    {"Tversky", "tversky", ""},
    {"Circle", "circle", ""},
    {"CTC", "ctc", ""},
    {"CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy", ""},
}};

constexpr std::array<CompileName, 42> kMetrics{{
    {"Accuracy", "accuracy", ""},
    {"BinaryAccuracy", "binary_accuracy", ""},
    {"CategoricalAccuracy", "categorical_accuracy", ""},
    {"SparseCategoricalAccuracy", "sparse_categorical_accuracy", ""},
    {"TopKCategoricalAccuracy", "top_k_categorical_accuracy", ""},
    {"SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy", ""},
    {"MeanSquaredError", "mean_squared_error", "mse"},
    {"MeanAbsoluteError", "mean_absolute_error", "mae"},
    {"MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape"},
    {"MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle"},
    {"LogCoshError", "logcosh", "log_cosh_error"},
    {"KLDivergence", "kl_divergence", ""},
    {"Poisson", "poisson", ""},
    {"BinaryCrossentropy", "binary_crossentropy", "bce"},
    {"CategoricalCrossentropy", "categorical_crossentropy", ""},
    {"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", ""},
    {"Hinge", "hinge", ""},
    {"SquaredHinge", "squared_hinge", ""},
    {"CosineSimilarity", "cosine_similarity", ""},
    {"PearsonCorrelation", "pearson_correlation", ""},
    {"ConcordanceCorrelation", "concordance_correlation", ""},
    {"CategoricalHinge", "categorical_hinge", ""},
    {"TruePositives", "true_positives", ""},
    {"FalsePositives", "false_positives", ""},
    {"TrueNegatives", "true_negatives", ""},
    {"FalseNegatives", "false_negatives", ""},
    {"Precision", "precision", ""},
    {"Recall", "recall", ""},
    {"AUC", "auc", ""},
    {"SensitivityAtSpecificity", "sensitivity_at_specificity", ""},
    {"SpecificityAtSensitivity", "specificity_at_sensitivity", ""},
    {"PrecisionAtRecall", "precision_at_recall", ""},
    {"RecallAtPrecision", "recall_at_precision", ""},
    {"RootMeanSquaredError", "root_mean_squared_error", ""},
    {"FBetaScore", "fbeta_score", "f_beta_score"},
    {"F1Score", "f1_score", ""},
    {"IoU", "io_u", ""},
    {"BinaryIoU", "binary_io_u", ""},
    {"MeanIoU", "mean_io_u", ""},
    {"OneHotIoU", "one_hot_io_u", ""},
    {"OneHotMeanIoU", "one_hot_mean_io_u", ""},
    {"R2Score", "r2_score", ""},
}};

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return upper;
}

}  // namespace

std::span<const CompileName> LossNames() { return kLosses; }
std::span<const CompileName> MetricNames() { return kMetrics; }

std::vector<std::string> Spellings(std::span<const CompileName> names) {
  std::vector<std::string> spellings;
  for (const CompileName& name : names) {
    for (std::string spelling : {std::string(name.class_name), std::string(name.function),
                                 std::string(name.short_name), Upper(name.short_name)}) {
      if (spelling.empty() || std::ranges::find(spellings, spelling) != spellings.end()) continue;
      spellings.push_back(std::move(spelling));
    }
  }
  return spellings;
}

}  // namespace elephas
