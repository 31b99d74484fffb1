#include "db/doctor_tls.hpp"

#include "db/conninfo.hpp"
#include "db/doctor_network.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>

namespace colloquy::db::doctor {
namespace {

using clock = std::chrono::steady_clock;

template <auto Release>
struct openssl_release {
  template <class T>
  void operator()(T* held) const noexcept {
    Release(held);
  }
};
using context_ptr = std::unique_ptr<SSL_CTX, openssl_release<SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, openssl_release<SSL_free>>;
using certificate_ptr = std::unique_ptr<X509, openssl_release<X509_free>>;
using bio_ptr = std::unique_ptr<BIO, openssl_release<BIO_free>>;

struct owned_socket {
  explicit owned_socket(int descriptor)
    : fd(descriptor) {}
  owned_socket(const owned_socket&) = delete;
  owned_socket& operator=(const owned_socket&) = delete;
  ~owned_socket() {
    if (fd >= 0)
      ::close(fd);
  }
  int fd;
};

constexpr unsigned char ssl_request[] = {0, 0, 0, 8, 4, 210, 22, 47};
constexpr const char* too_late = "no answer within the time for this probe";

// ---- bytes over the socket

bool send_all(int fd, const char* bytes, std::size_t size, clock::time_point deadline, std::string& why) {
  while (size > 0) {
    const auto sent = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent > 0) {
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
    } else if (errno != EAGAIN && errno != EINTR) {
      why = std::strerror(errno);
      return false;
    } else if (!wait_for_socket(fd, POLLOUT, deadline)) {
      why = too_late;
      return false;
    }
  }
  return true;
}

/// How many bytes; 0 with `why` set if there are none to come.
std::size_t receive_some(int fd, char* into, std::size_t size, clock::time_point deadline, std::string& why) {
  for (;;) {
    const auto got = ::recv(fd, into, size, 0);
    if (got > 0)
      return static_cast<std::size_t>(got);
    if (got == 0)
      why = "server closed the connection unexpectedly";
    else if (errno != EAGAIN && errno != EINTR)
      why = std::strerror(errno);
    else if (!wait_for_socket(fd, POLLIN, deadline))
      why = too_late;
    if (!why.empty())
      return 0;
  }
}

/// Whether the server takes TLS; false with `why` empty: it says that it does not.
bool ask_for_tls(int fd, clock::time_point deadline, std::string& why) {
  if (!send_all(fd, reinterpret_cast<const char*>(ssl_request), sizeof ssl_request, deadline, why))
    return false;
  char answer = 0;
  if (receive_some(fd, &answer, 1, deadline, why) == 0)
    return false;
  if (answer != 'S' && answer != 'N')
    why = "received invalid response to SSL negotiation: it is no PostgreSQL, or has no place for us";
  return answer == 'S';
}

std::string openssl_error() {
  const auto code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  return std::string("SSL error: ") + (reason ? reason : "the handshake failed");
}

/// Over memory, because OpenSSL's own socket BIO can raise SIGPIPE and knows no deadline.
bool hand_shake(SSL* ssl, int fd, clock::time_point deadline, std::string& why) {
  for (;;) {
    ERR_clear_error();
    const int done = SSL_connect(ssl);
    const int state = SSL_get_error(ssl, done);
    char bytes[4096];
    int size = 0;
    while ((size = BIO_read(SSL_get_wbio(ssl), bytes, sizeof bytes)) > 0)
      if (!send_all(fd, bytes, static_cast<std::size_t>(size), deadline, why))
        return false;
    if (done == 1)
      return true;
    if (state != SSL_ERROR_WANT_READ) {
      why = openssl_error();
      return false;
    }
    const auto got = receive_some(fd, bytes, sizeof bytes, deadline, why);
    if (got == 0 || BIO_write(SSL_get_rbio(ssl), bytes, static_cast<int>(got)) <= 0)
      return false;
  }
}

// ---- what is to be checked, as libpq decides it

std::string own_authorities() {
  const char* home = std::getenv("HOME");
  const auto file = std::filesystem::path(home ? home : "") / ".postgresql" / "root.crt";
  std::error_code ignored;
  return std::filesystem::exists(file, ignored) ? file.string() : "";
}

void read_demands(const option_values& values, tls_facts& facts) {
  facts.mode = value_or_environment(values, "sslmode", "PGSSLMODE");
  if (facts.mode.empty())
    facts.mode = "prefer";
  facts.authorities = value_or_environment(values, "sslrootcert", "PGSSLROOTCERT");
  if (facts.authorities.empty())
    facts.authorities = own_authorities();
  std::error_code ignored;
  const bool is_there = !facts.authorities.empty() && std::filesystem::exists(facts.authorities, ignored);
  facts.checks_name = facts.mode == "verify-full";
  // libpq keeps an old promise: with a file of authorities, require is verify-ca.
  facts.checks_authority = facts.checks_name || facts.mode == "verify-ca" || (facts.mode == "require" && is_there);
}

// ---- the certificate

std::string one_line(const X509_NAME* name) {
  const bio_ptr out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
    return "";
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<std::int64_t>(timegm(&parts)) : 0;
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  const auto* bytes = ASN1_STRING_get0_data(address);
  char text[INET6_ADDRSTRLEN] = "";
  if (ASN1_STRING_length(address) == 4)
    inet_ntop(AF_INET, bytes, text, sizeof text);
  else if (ASN1_STRING_length(address) == 16)
    inet_ntop(AF_INET6, bytes, text, sizeof text);
  return text;
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  const std::unique_ptr<GENERAL_NAMES, openssl_release<GENERAL_NAMES_free>> owned(all);
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all); ++i) {
    const auto* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS)
      names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    else if (name->type == GEN_IPADD)
      names.push_back(address_text(name->d.iPAddress));
  }
  return names;
}

bool fits_name(X509* certificate, const std::string& host) {
  return X509_check_host(certificate, host.c_str(), host.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1 ||
         X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
}

/// OpenSSL tells each fault of the chain here and goes on; with a plain check it would stop at the first.
struct chain_faults {
  bool authority_unknown = false;
  bool out_of_time = false;
  std::string other;
};

int chain_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int note_fault(int is_good, X509_STORE_CTX* chain) {
  if (is_good == 1)
    return 1;
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* faults = static_cast<chain_faults*>(SSL_get_ex_data(ssl, chain_index()));
  switch (const int fault = X509_STORE_CTX_get_error(chain)) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
  case X509_V_ERR_CERT_NOT_YET_VALID:
    faults->out_of_time = true;
    break;
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_CERT_UNTRUSTED:
  case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    faults->authority_unknown = true;
    break;
  default:
    faults->other = X509_verify_cert_error_string(fault);
  }
  return 1; // the handshake is to go on
}

void look_at_certificate(SSL* ssl, const chain_faults& faults, tls_facts& facts) {
  facts.version = SSL_get_version(ssl);
  facts.cipher = SSL_get_cipher_name(ssl);
  facts.now = static_cast<std::int64_t>(std::time(nullptr));
  const certificate_ptr certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate)
    return;
  facts.certificate = certificate_facts{one_line(X509_get_subject_name(certificate.get())),
                                        one_line(X509_get_issuer_name(certificate.get())), names_of(certificate.get()),
                                        seconds_of(X509_get0_notBefore(certificate.get())),
                                        seconds_of(X509_get0_notAfter(certificate.get()))};
  facts.authority_known = !faults.authority_unknown && facts.authorities_failure.empty() && !facts.authorities.empty();
  facts.in_time =
      !faults.out_of_time && facts.certificate->valid_from <= facts.now && facts.now < facts.certificate->valid_until;
  facts.name_fits = fits_name(certificate.get(), facts.host);
  facts.other_fault = faults.other;
}

void load_authorities(SSL_CTX* context, tls_facts& facts) {
  if (facts.authorities.empty())
    return;
  if (SSL_CTX_load_verify_locations(context, facts.authorities.c_str(), nullptr) != 1)
    facts.authorities_failure = "could not read root certificate file \"" + facts.authorities + "\"";
  ERR_clear_error();
}

void shake_hands_on(int fd, clock::time_point deadline, tls_facts& facts) {
  const context_ptr context(SSL_CTX_new(TLS_client_method()));
  if (!context) {
    facts.failure = openssl_error();
    return;
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION); // as libpq asks for unless told
  load_authorities(context.get(), facts);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, note_fault);
  const ssl_ptr ssl(SSL_new(context.get()));
  chain_faults faults;
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (!ssl || !in || !out || SSL_set_ex_data(ssl.get(), chain_index(), &faults) != 1) {
    BIO_free(in);
    BIO_free(out);
    facts.failure = openssl_error();
    return;
  }
  SSL_set_bio(ssl.get(), in, out);
  if (!is_address_or_socket(facts.host)) // SSL_set_tlsext_host_name, whose macro casts in C's way
    SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, facts.host.data());
  if (hand_shake(ssl.get(), fd, deadline, facts.failure))
    look_at_certificate(ssl.get(), faults, facts);
}

} // namespace

tls_facts shake_hands(const std::string& conninfo, const door_facts& door, milliseconds limit) {
  const auto begun = clock::now();
  tls_facts facts;
  facts.host = door.host;
  facts.port = door.port;
  facts.address = door.address;
  if (const auto values = parse_conninfo(conninfo))
    read_demands(*values, facts);
  const owned_socket socket(connect_door(door, begun + limit, facts.failure));
  if (socket.fd >= 0) {
    facts.offered = ask_for_tls(socket.fd, begun + limit, facts.failure);
    if (facts.offered)
      shake_hands_on(socket.fd, begun + limit, facts);
  }
  facts.took = std::chrono::duration_cast<milliseconds>(clock::now() - begun);
  return facts;
}

} // namespace colloquy::db::doctor
