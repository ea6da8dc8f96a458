// Fields that a server-side apply did not get, because another manager (kubectl apply, kubectl
// scale, a GitOps tool) has set them: which, whose, and whether there is anything to fight for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace elephas::cli {

struct FieldConflict {
  std::string path;     // ".spec.workers.replicas", as the API server writes it
  std::string manager;  // "\"kubectl\" with subresource \"scale\" using elephas.dev/v1alpha1"
};

// Those that the API server's refusal names; empty when it is of another kind.
std::vector<FieldConflict> FieldConflicts(const nlohmann::json& refusal);

// What `object` has at such a path; null where it has nothing. Keys may have dots in them.
nlohmann::json ValueAtPath(const nlohmann::json& object, std::string_view path);

// Those of the conflicts where the manifest wants something else than what the cluster has. Empty:
// taking all of them over changes no value.
std::vector<FieldConflict> RealConflicts(const std::vector<FieldConflict>& conflicts,
                                         const nlohmann::json& manifest,
                                         const nlohmann::json& live);

// The manifest without the nulls of its mappings that the cluster does not have: kubectl apply leaves
// them out when it makes an object, so the same file would seem to want something else. What a null
// stands for is the same there.
nlohmann::json WithoutLostNulls(nlohmann::json manifest, const nlohmann::json& live);

// Says of each whose it is and what both sides want, then what to do. Several lines.
std::string ConflictText(const std::vector<FieldConflict>& conflicts,
                         const nlohmann::json& manifest, const nlohmann::json& live);

}  // namespace elephas::cli
