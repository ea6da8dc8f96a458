#include "kube/client.h"

namespace elephas::kube {

std::string ToString(const ObjectName& name) {
  return name.ns.empty() ? name.name : name.ns + "/" + name.name;
}

ObjectName NameOf(const nlohmann::json& object) {
  ObjectName name;
  const auto metadata = object.is_object() ? object.find("metadata") : object.end();
  if (metadata == object.end() || !metadata->is_object()) return name;
  const auto text = [&](const char* field) {
    const auto found = metadata->find(field);
    return found != metadata->end() && found->is_string() ? found->get<std::string>()
                                                          : std::string();
  };
  name.ns = text("namespace");
  name.name = text("name");
  return name;
}

}  // namespace elephas::kube
