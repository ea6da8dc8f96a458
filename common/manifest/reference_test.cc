// docs/manifest.md is made from the table of fields; after a change of it, by `make generate`.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "common/manifest/fields.h"

namespace elephas::manifest {
namespace {

std::string TypeOf(const FieldInfo& field) {
  switch (field.type) {
    case FieldType::kSection:
      return "section";
    case FieldType::kText:
      return "text";
    case FieldType::kUri:
      return "path or URI";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kBoolean:
      return "true or false";
    case FieldType::kNames:
      return "name, list or mapping of names";
    case FieldType::kTextMap:
      return "mapping of text";
    case FieldType::kWeights:
      return "mapping of numbers";
    case FieldType::kObject:
      return "mapping";
    case FieldType::kPodTemplate:
      return "pod template";
    case FieldType::kAny:
      return "as Keras takes it";
    case FieldType::kWord:
      break;
  }
  std::string words;
  for (const std::string_view word : field.words) {
    words += (words.empty() ? "" : ", ") + std::string("`") + std::string(word) + "`";
  }
  return words;
}

std::string DefaultOf(const FieldInfo& field) {
  if (!field.default_json.empty()) return "`" + std::string(field.default_json) + "`";
  if (!field.default_doc.empty()) return std::string(field.default_doc);
  return field.required && field.type != FieldType::kSection ? "required" : "";
}

std::string NoteOf(const FieldInfo& field) {
  std::string note(field.doc);
  if (field.scope == Scope::kClusterOnly) note += " On a cluster only.";
  if (field.mutability == Mutability::kMutable) note += " Can be changed while the job runs.";
  if (field.mutability == Mutability::kWhileSuspended) {
    note += " Can be changed while the job is suspended.";
  }
  return note;
}

std::string Reference() {
  std::ostringstream out;
  out << "# The manifest, field by field\n\n"
         "The same for `elephas run`, `elephas validate` and a cluster. A field that is not in "
         "this table is an error "
         "that names\nits path; no field is ignored. A URI without a scheme is a path beside the "
         "manifest. Where "
         "nothing else is said, a field\ncannot be changed while the job runs.\n\n"
         "| field | type | default | meaning |\n| --- | --- | --- | --- |\n";
  for (const FieldInfo& field : ManifestFields()) {
    if (field.path.starts_with("metadata.") && field.type == FieldType::kAny) continue;
    out << "| `" << field.path << "` | " << TypeOf(field) << " | " << DefaultOf(field) << " | "
        << NoteOf(field) << " |\n";
  }
  out << "\nWhat a cluster adds to an object (`status`, and in `metadata` the uid, owner "
         "references and so on) is "
         "accepted and not read.\n";
  return out.str();
}

TEST(ManifestReference, IsWhatTheTableOfFieldsSays) {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  const std::string path = std::string(source == nullptr ? "." : source) + "/docs/manifest.md";
  if (std::getenv("ELEPHAS_UPDATE_DOCS") != nullptr) std::ofstream(path) << Reference();
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), Reference());
}

}  // namespace
}  // namespace elephas::manifest
