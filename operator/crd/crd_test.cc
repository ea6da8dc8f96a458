#include "operator/crd/crd.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "common/manifest/fields.h"
#include "common/manifest/pod_template_check.h"
#include "common/manifest/pod_template_schema.h"
#include "common/manifest/status.h"
#include "operator/crd/yaml_text.h"

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

// After a change of a table: `make generate`.
TEST(Crd, FilesInTheTreeAreWhatTheTablesSay) {
  const std::string definition = YamlText(MakeCrd()), policy = YamlText(PolicyRules());
  for (const auto& [path, text] :
       {std::pair{"crds/elephasjobs.yaml", definition},
        std::pair{"charts/elephas-operator/files/elephasjobs.yaml", definition},
        std::pair{"charts/elephas-operator/files/admission-policy.yaml", policy}}) {
    if (std::getenv("ELEPHAS_UPDATE_DOCS") != nullptr) std::ofstream(SourceFile(path)) << text;
    EXPECT_EQ(ReadText(SourceFile(path)), text) << path << ": run `make generate`";
  }
}

// As JSON it is what kubectl keeps in an annotation. What to shorten when it is too large:
// kWrittenOut in crd_template.cc.
TEST(Crd, IsSmallEnoughForClientSideApply) {
  EXPECT_LT(YamlText(MakeCrd()).size(), 100'000U);
  EXPECT_LT(MakeCrd().dump().size(), 100'000U);
}

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
                    schema.contains("x-kubernetes-preserve-unknown-fields") ||
                    schema.contains("x-kubernetes-int-or-string"))
            << where;
        if (schema.contains("properties")) {
          for (const auto& [name, child] : schema["properties"].items()) {
            check(child, where + "." + name);
          }
        }
        if (schema.contains("items")) check(schema["items"], where + "[]");
        if (schema.contains("additionalProperties")) {
          check(schema["additionalProperties"], where + "{}");
        }
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

// What is written out of a template's types must be all of their fields, or the API server would
// refuse what the parser takes.
void ExpectWhole(const ordered_json& schema, const manifest::PodType& type,
                 const std::string& where) {
  if (schema.value("x-kubernetes-preserve-unknown-fields", false)) return;
  ASSERT_TRUE(schema.contains("properties")) << where;
  for (const manifest::PodField& field : type.fields) {
    if (where == ".metadata") break;  // most of it is the operator's to set
    EXPECT_TRUE(schema["properties"].contains(field.name)) << where << "." << field.name;
  }
  for (const auto& [name, child] : schema["properties"].items()) {
    const manifest::PodField* field = type.Find(name);
    ASSERT_NE(field, nullptr) << where << "." << name;
    if (field->type == nullptr) continue;
    ExpectWhole(child.contains("items") ? child["items"] : child, *field->type, where + "." + name);
  }
}

TEST(CrdTemplate, FieldsOfATypeAreAllThereOrNotLookedAt) {
  for (const char* path : {"spec.workers.template", "spec.parameterServers.template"}) {
    ExpectWhole(At(path), manifest::PodTemplateType(), "");
  }
}

TEST(CrdTemplate, NothingHasToBeThereThatOurPodsHave) {
  const ordered_json& spec = At("spec.workers.template.spec");
  EXPECT_FALSE(spec.contains("required"));
  EXPECT_FALSE(spec["properties"]["containers"]["items"].contains("required"));
  EXPECT_EQ(spec["properties"]["initContainers"]["items"]["required"], (ordered_json{"name"}));
  EXPECT_EQ(spec["properties"]["volumes"]["items"]["required"], (ordered_json{"name"}));
}

// Elsewhere the API server takes nulls out, and the parser does too. (What is not looked at keeps
// its nulls; the operator's parser takes them out.)
TEST(CrdTemplate, NullsStayExactlyWhereTheyTakeSomethingAway) {
  std::size_t count = 0;
  const std::function<void(const ordered_json&, const std::string&)> walk =
      [&](const ordered_json& schema, const std::string& pattern) {
        const bool nullable = schema.value("nullable", false);
        EXPECT_EQ(nullable, manifest::NullTakesAway(pattern)) << pattern;
        count += nullable ? 1 : 0;
        const std::string below = pattern.empty() ? "" : pattern + ".";
        if (schema.contains("properties")) {
          for (const auto& [name, child] : schema["properties"].items()) walk(child, below + name);
        }
        if (schema.contains("items")) walk(schema["items"], pattern + "[]");
        if (schema.contains("additionalProperties")) {
          walk(schema["additionalProperties"], below + "{}");
        }
      };
  walk(At("spec.workers.template"), "");
  EXPECT_EQ(count, manifest::kPlacesWhereNullTakesAway);
}

TEST(CrdTemplate, OurContainerIsTheOneOfItsRole) {
  const auto rules_of = [](const char* path) {
    return At(path)["properties"]["containers"]["items"]["x-kubernetes-validations"].dump();
  };
  EXPECT_NE(rules_of("spec.workers.template.spec").find("'worker'"), std::string::npos);
  EXPECT_NE(rules_of("spec.parameterServers.template.spec").find("'paramserver'"),
            std::string::npos);
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
            "a: [x, \"1\", \"\", \"a: b\"]\n"
            "b: {}\n"
            "c:\n- d: 1\n  e: null\n");
}

TEST(YamlText, PutsOnOneLineWhatFitsThereAndHoldsNoStructures) {
  const ordered_json value{{"a", {{"b", {{"c", "d"}, {"e", ordered_json::array()}}}}},
                           {"f", {{"g", std::string(60, 'g')}, {"h", std::string(60, 'h')}}}};
  EXPECT_EQ(YamlText(value), "a:\n  b: {c: d, e: []}\nf:\n  g: " + std::string(60, 'g') +
                                 "\n  h: " + std::string(60, 'h') + "\n");
}

}  // namespace
}  // namespace elephas
