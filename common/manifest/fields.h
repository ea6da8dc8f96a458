// The manifest's fields as one table: the parser, the schema of the CRD and the documentation are
// all made from it, so they cannot disagree. A new field is a member of JobSpec and a row here.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "common/manifest/job_spec.h"
#include "common/manifest/text_form.h"

namespace elephas::manifest {

inline constexpr std::string_view kApiVersion = "elephas.dev/v1alpha1";
inline constexpr std::string_view kKind = "ElephasJob";

// Pods are named JOB-worker-N and JOB-paramserver-N, and a pod's name becomes its host name, which
// holds 63 characters.
inline constexpr std::size_t kMaxNameLength = 63 - std::string_view("-paramserver-9999").size();
// Of a kText or kUri, in characters; longer ones are nobody's path, and the CRD's rules need a
// bound.
inline constexpr std::size_t kMaxTextLength = 4096;
// Of a kWeights, for the same reason, and because an API server's time grows with the square of it:
// more than the classes of the largest ImageNet.
inline constexpr std::size_t kMaxWeights = 32768;

enum class FieldType : std::uint8_t {
  kSection,  // a mapping whose fields are rows of this table
  kText,     // a string, not empty
  kUri,      // a path or a file:// URI
  kInteger,
  kNumber,
  kBoolean,
  kWord,     // one of `words`
  kNames,    // one name, a list of names, or a mapping from name to name; normalised to the latter
             // two
  kTextMap,  // a mapping from text to text
  kWeights,  // a mapping from class index to a number that is not negative; not empty
  kObject,   // any mapping, kept as it is, not empty
  kPodTemplate,  // a mapping that Kubernetes takes as a pod template, not empty
  kAny,          // anything, kept as it is
};

// May the field of a job on a cluster be changed?
enum class Mutability : std::uint8_t {
  kImmutable,
  kMutable,
  kWhileSuspended,  // only where spec.runPolicy.suspend was true before the change: Kueue's way
};

// Where a field means something; a field without meaning in a run is told to the user, not dropped.
enum class Scope : std::uint8_t {
  kEverywhere,
  kClusterOnly,  // nothing to act on in a local run
  kNoEffect,     // taken so that what Keras writes can be pasted; results do not depend on it
};

struct FieldInfo {
  std::string_view path;  // "spec.fit.epochs"
  FieldType type = FieldType::kSection;
  // Meaning, in one or two sentences, for the person who writes a manifest.
  std::string_view doc;
  bool required = false;  // inside its section; of a section: fields below it are checked even when
                          // nobody wrote it
  bool may_be_empty = false;           // of a kText: no text is as good as none
  std::string_view default_json = {};  // what leaving it out means, as JSON; empty: nothing
  std::string_view default_doc = {};   // the same in words where it depends on other fields
  double minimum = -std::numeric_limits<double>::infinity();  // kInteger, kNumber
  double maximum = std::numeric_limits<double>::infinity();
  bool below_maximum = false;  // `maximum` itself is too large
  std::span<const std::string_view> words = {};
  TextForm form = TextForm::kFree;  // kText
  Mutability mutability = Mutability::kImmutable;
  Scope scope = Scope::kEverywhere;
  // Writes the checked value into the spec; null when nothing of the spec depends on it. Never
  // called with null.
  void (*store)(JobSpec&, const nlohmann::json&) = nullptr;
};

// Parents come before their children.
std::span<const FieldInfo> ManifestFields();
// Null when no field has that path.
const FieldInfo* FindField(std::string_view path);
// "fit" of "spec.fit"; "spec" of "spec".
std::string_view LastPart(std::string_view path);
// "spec" of "spec.fit"; "" of "spec".
std::string_view ParentPath(std::string_view path);

}  // namespace elephas::manifest
