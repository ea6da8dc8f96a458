// Certificates made on the spot, for tests over real TLS.
#pragma once

#include <string>
#include <vector>

namespace elephas::kube {

struct TestCertificate {
  std::string cert_pem, key_pem;
};

// A self-signed authority.
TestCertificate MakeTestAuthority(const std::string& name);
// Signed by `authority`, for these names, each "DNS:name" or "IP:address", valid from an hour ago
// for `hours` more (negative: expired). `common_name` becomes the user when a client shows it.
TestCertificate MakeTestCertificate(const TestCertificate& authority,
                                    const std::string& common_name,
                                    const std::vector<std::string>& names, int hours = 24);

}  // namespace elephas::kube
