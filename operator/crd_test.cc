#include "operator/crd.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "common/job_spec_fields.h"
#include "common/job_spec_status.h"
#include "operator/yaml_text.h"

namespace elephas {
namespace {

using nlohmann::ordered_json;

std::string SourceFile(const std::string& path) {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  return std::string(source == nullptr ? "." : source) + "/" + path;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const ordered_json& Root() {
  static const ordered_json kCrd = MakeCrd();
  return kCrd.at("/spec/versions/0/schema/openAPIV3Schema"_json_pointer);
}

const ordered_json& At(std::string_view path) {
  const ordered_json* schema = &Root();
  while (!path.empty()) {
    const auto dot = path.find('.');
    schema = &schema->at("properties").at(std::string(path.substr(0, dot)));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return *schema;
}

// After a change of a table: ELEPHAS_UPDATE_DOCS=1 build/test-bin/operator_crd_test
TEST(Crd, FilesInTheTreeAreWhatTheTablesSay) {
  const std::string definition = YamlText(MakeCrd()), policy = YamlText(PolicyRules());
  for (const auto& [path, text] :
       {std::pair{"crds/elephasjobs.yaml", definition},
        std::pair{"charts/elephas-operator/files/elephasjobs.yaml", definition},
        std::pair{"charts/elephas-operator/files/admission-policy.yaml", policy}}) {
    if (std::getenv("ELEPHAS_UPDATE_DOCS") != nullptr) std::ofstream(SourceFile(path)) << text;
    EXPECT_EQ(ReadText(SourceFile(path)), text) << path << ": see the comment above this test";
  }
}

TEST(Crd, IsSmallEnoughForClientSideApply) { EXPECT_LT(MakeCrd().dump().size(), 100'000U); }

TEST(Crd, EveryFieldOfTheManifestIsThereAndDescribed) {
  for (const manifest::FieldInfo& field : manifest::ManifestFields()) {
    if (!field.path.starts_with("spec")) continue;
    const ordered_json& schema = At(field.path);
    EXPECT_TRUE(schema.at("description").get<std::string>().starts_with(field.doc)) << field.path;
    EXPECT_EQ(schema.contains("default"),
              !field.default_json.empty() || (field.type == manifest::FieldType::kSection &&
                                              schema.value("default", ordered_json()).is_object()))
        << field.path;
  }
}

// The command line knows the status by these.
TEST(Crd, TheFieldsOfTheStatusAreThoseThatManifestsMayCarry) {
  std::set<std::string> leaves;
  const std::function<void(const ordered_json&, const std::string&)> walk =
      [&](const ordered_json& schema, const std::string& path) {
        if (schema.contains("properties")) {
          for (const auto& [name, child] : schema["properties"].items()) {
            walk(child, path.empty() ? name : path + "." + name);
          }
        } else if (schema.contains("items")) {
          walk(schema["items"], path + "[]");
        } else {
          leaves.insert(schema.contains("additionalProperties") ? path + ".*" : path);
        }
      };
  walk(At("status"), "");
  const auto fields = manifest::StatusFields();
  EXPECT_EQ(leaves, std::set<std::string>(fields.begin(), fields.end()));
}

TEST(Crd, EveryTypeIsStructural) {
  const std::function<void(const ordered_json&, const std::string&)> check =
      [&](const ordered_json& schema, const std::string& where) {
        EXPECT_TRUE(schema.contains("type") ||
                    schema.contains("x-kubernetes-preserve-unknown-fields"))
            << where;
        if (schema.contains("properties")) {
          for (const auto& [name, child] : schema["properties"].items()) {
            check(child, where + "." + name);
          }
        }
        if (schema.contains("items")) check(schema["items"], where + "[]");
      };
  check(Root(), "");
}

std::vector<std::string> RulesAt(std::string_view path) {
  std::vector<std::string> rules;
  const ordered_json& schema = At(path);
  if (!schema.contains("x-kubernetes-validations")) return rules;
  for (const auto& rule : schema["x-kubernetes-validations"]) rules.push_back(rule["rule"]);
  return rules;
}

TEST(Crd, EveryImmutableFieldIsKeptByARuleAndNoMutableOneIs) {
  for (const manifest::FieldInfo& field : manifest::ManifestFields()) {
    if (!field.path.starts_with("spec.") || field.type == manifest::FieldType::kSection) continue;
    // On the field, on a section above, or in a parent that speaks of it.
    bool kept = false;
    std::string below(manifest::LastPart(field.path));
    for (std::string_view path = field.path;; path = manifest::ParentPath(path)) {
      for (const std::string& rule : RulesAt(path)) {
        kept = kept || rule == "self == oldSelf" ||
               (path != field.path && rule.find("== oldSelf." + below) != std::string::npos);
      }
      if (path == "spec") break;
      const std::string_view parent = manifest::ParentPath(path);
      below = std::string(field.path.substr(parent.size() + 1));
      const std::string section(manifest::LastPart(path));
      if (parent == "spec") {
        for (const std::string& rule : RulesAt("spec")) {
          kept = kept ||
                 rule.find("self." + section + " == oldSelf." + section + ")") != std::string::npos;
        }
      }
    }
    EXPECT_EQ(kept, field.mutability != manifest::Mutability::kMutable) << field.path;
  }
}

TEST(Crd, EveryRuleHasAMessage) {
  for (const manifest::FieldInfo& field : manifest::ManifestFields()) {
    const ordered_json rules = CrdRules(field.path);
    for (const auto& rule : rules) EXPECT_TRUE(rule.contains("message")) << rule;
  }
}

TEST(YamlText, QuotesWhatYamlWouldReadAsSomethingElse) {
  const ordered_json value{{"on", "true"},
                           {"a", {"x", "1", "", "a: b"}},
                           {"b", ordered_json::object()},
                           {"c", ordered_json::array({ordered_json{{"d", 1}, {"e", nullptr}}})}};
  EXPECT_EQ(YamlText(value),
            "\"on\": \"true\"\n"
            "a:\n- x\n- \"1\"\n- \"\"\n- \"a: b\"\n"
            "b: {}\n"
            "c:\n- d: 1\n  e: null\n");
}

}  // namespace
}  // namespace elephas
