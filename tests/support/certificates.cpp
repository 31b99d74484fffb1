#include "tests/support/certificates.hpp"

#include <fstream>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdexcept>

namespace colloquy::test {

namespace {

template <auto release>
struct releaser {
  template <class T>
  void operator()(T* held) const {
    release(held);
  }
};

using key_ptr = std::unique_ptr<EVP_PKEY, releaser<EVP_PKEY_free>>;
using x509_ptr = std::unique_ptr<X509, releaser<X509_free>>;
using bio_ptr = std::unique_ptr<BIO, releaser<BIO_free_all>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, releaser<X509_EXTENSION_free>>;

/// OpenSSL's calls give 0 or null for a failure.
template <class T>
T must(T outcome, const char* what) {
  if (outcome)
    return outcome;
  char words[256] = "";
  ERR_error_string_n(ERR_get_error(), words, sizeof words);
  throw std::runtime_error(std::string("OpenSSL cannot ") + what + ": " + words);
}

key_ptr fresh_key() {
  return key_ptr(must(EVP_EC_gen("P-256"), "make a key"));
}

template <class Write>
std::string pem(Write write) {
  const bio_ptr out(must(BIO_new(BIO_s_mem()), "make a buffer"));
  must(write(out.get()), "write PEM");
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string certificate_text(X509* signed_one) {
  return pem([&](BIO* out) { return PEM_write_bio_X509(out, signed_one); });
}

std::string key_text(EVP_PKEY* key) {
  return pem([&](BIO* out) { return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

void set_serial(X509* fresh) {
  unsigned char bytes[8];
  must(RAND_bytes(bytes, sizeof bytes) == 1, "make a serial number");
  std::uint64_t number = 0;
  for (const auto byte : bytes)
    number = number << 8 | byte;
  must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(fresh), number >> 1 | 1), "set the serial number");
}

void set_name(X509* fresh, const std::string& common_name) {
  must(X509_NAME_add_entry_by_txt(X509_get_subject_name(fresh), "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0),
       "name the certificate");
}

void set_times(X509* fresh, std::chrono::seconds starts_in, std::chrono::seconds ends_in) {
  must(X509_gmtime_adj(X509_getm_notBefore(fresh), starts_in.count()), "set the certificate's start");
  must(X509_gmtime_adj(X509_getm_notAfter(fresh), ends_in.count()), "set the certificate's end");
}

void add_extension(X509* fresh, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, fresh, nullptr, nullptr, 0);
  const extension_ptr extension(must(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()), "make an extension"));
  must(X509_add_ext(fresh, extension.get(), -1), "add an extension");
}

x509_ptr unsigned_certificate(EVP_PKEY* key, const std::string& common_name) {
  x509_ptr fresh(must(X509_new(), "make a certificate"));
  must(X509_set_version(fresh.get(), 2), "set the version"); // which is the third
  must(X509_set_pubkey(fresh.get(), key), "set the key");
  set_serial(fresh.get());
  set_name(fresh.get(), common_name);
  return fresh;
}

void sign(X509* fresh, X509* issuer, EVP_PKEY* issuer_key) {
  must(X509_set_issuer_name(fresh, X509_get_subject_name(issuer)), "name the issuer");
  add_extension(fresh, issuer, NID_subject_key_identifier, "hash");
  add_extension(fresh, issuer, NID_authority_key_identifier, "keyid:always");
  must(X509_sign(fresh, issuer_key, EVP_sha256()), "sign a certificate");
}

std::string alternative_names(const certificate_request& request) {
  std::string all;
  for (const auto& name : request.dns_names)
    all += (all.empty() ? "DNS:" : ",DNS:") + name;
  for (const auto& address : request.addresses)
    all += (all.empty() ? "IP:" : ",IP:") + address;
  return all;
}

} // namespace

struct certificate_authority::keys {
  key_ptr key;
  x509_ptr own;
};

certificate_authority::certificate_authority(const std::string& name)
  : keys_(std::make_unique<keys>()) {
  keys_->key = fresh_key();
  keys_->own = unsigned_certificate(keys_->key.get(), name);
  auto* own = keys_->own.get();
  set_times(own, std::chrono::hours(-24 * 30), std::chrono::hours(24 * 30));
  add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(own, own, NID_key_usage, "critical,keyCertSign,cRLSign");
  sign(own, own, keys_->key.get());
  certificate_pem_ = certificate_text(own);
}

certificate_authority::certificate_authority(certificate_authority&&) noexcept = default;
certificate_authority& certificate_authority::operator=(certificate_authority&&) noexcept = default;
certificate_authority::~certificate_authority() = default;

certificate certificate_authority::issue(const certificate_request& request) const {
  const auto key = fresh_key();
  const auto fresh = unsigned_certificate(key.get(), request.common_name);
  set_times(fresh.get(), request.starts_in, request.ends_in);
  auto* issuer = keys_->own.get();
  add_extension(fresh.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(fresh.get(), issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(fresh.get(), issuer, NID_ext_key_usage, "serverAuth");
  if (const auto names = alternative_names(request); !names.empty())
    add_extension(fresh.get(), issuer, NID_subject_alt_name, names);
  sign(fresh.get(), issuer, keys_->key.get());
  return {certificate_text(fresh.get()), key_text(key.get())};
}

std::string certificate_authority::write_to(const std::filesystem::path& file) const {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  if (!(out << certificate_pem_ << std::flush))
    throw std::runtime_error("cannot write " + file.string());
  return file.string();
}

} // namespace colloquy::test
