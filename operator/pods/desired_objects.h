// What a job needs beside its pods.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "operator/state/job.h"
#include "operator/state/settings.h"

namespace elephas {

std::string SecretName(const Job& job);
std::string ServiceName(const Job& job);
std::string NetworkPolicyName(const Job& job);

// The labels of everything that belongs to the job; `component` as in common/base/names.h.
nlohmann::json ObjectLabels(const Job& job, std::string_view component);
// Those of them that tell its pods of one component from all others.
nlohmann::json SelectorLabels(const Job& job, std::string_view component);
// One reference, to the job: deleting it deletes the object.
nlohmann::json OwnerReferences(const Job& job);
// Does `object` belong to this job, and not to another one of that name or to somebody else?
bool IsOwned(const nlohmann::json& object, const Job& job);

// The manifest that the job's programs read: all defaults in it, and nothing that only the operator
// reads.
nlohmann::json PinnedManifest(const Job& job);

nlohmann::json MakeSecret(const Job& job, std::string_view token);
nlohmann::json MakeService(const Job& job);
nlohmann::json MakeNetworkPolicy(const Job& job, const Settings& settings);

}  // namespace elephas
