#include "kube/testing/test_certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>
#include <stdexcept>

namespace elephas::kube {

namespace {

template <auto free_it>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    free_it(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free>>;
using CertPtr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

constexpr long kHour = 3'600;

// A broken test environment: nothing that a test could handle.
void Must(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

void AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Must(extension != nullptr, "extension");
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

CertPtr NewCertificate(const std::string& common_name, EVP_PKEY* key, long end) {
  static std::atomic<long> serial{1};
  CertPtr cert(X509_new());
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -kHour);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), end);
  X509_set_pubkey(cert.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return cert;
}

TestCertificate Written(X509* cert, EVP_PKEY* key) {
  const BioPtr cert_bio(BIO_new(BIO_s_mem())), key_bio(BIO_new(BIO_s_mem()));
  Must(PEM_write_bio_X509(cert_bio.get(), cert) == 1, "certificate");
  Must(PEM_write_bio_PrivateKey(key_bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
       "key");
  return {TextOf(cert_bio.get()), TextOf(key_bio.get())};
}

}  // namespace

TestCertificate MakeTestAuthority(const std::string& name) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  Must(key != nullptr, "key");
  const CertPtr cert = NewCertificate(name, key.get(), 24 * kHour);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  AddExtension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(cert.get(), cert.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  Must(X509_sign(cert.get(), key.get(), EVP_sha256()) > 0, "signature");
  return Written(cert.get(), key.get());
}

TestCertificate MakeTestCertificate(const TestCertificate& authority,
                                    const std::string& common_name,
                                    const std::vector<std::string>& names, int hours) {
  const BioPtr cert_bio(BIO_new_mem_buf(authority.cert_pem.data(), -1)),
      key_bio(BIO_new_mem_buf(authority.key_pem.data(), -1));
  const CertPtr issuer(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  const KeyPtr issuer_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  Must(issuer != nullptr && issuer_key != nullptr, "authority");
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertPtr cert = NewCertificate(common_name, key.get(), hours * kHour);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer.get()));
  std::string alternatives;
  for (const std::string& name : names) alternatives += (alternatives.empty() ? "" : ",") + name;
  if (!alternatives.empty()) {
    AddExtension(cert.get(), issuer.get(), NID_subject_alt_name, alternatives);
  }
  Must(X509_sign(cert.get(), issuer_key.get(), EVP_sha256()) > 0, "signature");
  return Written(cert.get(), key.get());
}

}  // namespace elephas::kube
