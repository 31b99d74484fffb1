#include "gateway/tls.hpp"

#include <openssl/ssl.h>

namespace colloquy::gateway {
namespace {

namespace ssl = boost::asio::ssl;

error unusable(const char* setting, const std::filesystem::path& file, const std::string& why) {
  return {error_code::invalid_request,
          std::string(setting) + " is " + file.string() + ", which cannot be used: " + why};
}

/// HTTP/1.1 is all that is spoken.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                    void*) {
  static constexpr unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours, in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

} // namespace

result<std::shared_ptr<ssl::context>> make_tls(const config::settings& settings) {
  if (!settings.tls_certificate && !settings.tls_key)
    return std::shared_ptr<ssl::context>();
  if (!settings.tls_certificate || !settings.tls_key)
    return error{error_code::invalid_request, std::string(settings.tls_key ? "tls_key" : "tls_certificate") +
                                                  " is set without " +
                                                  (settings.tls_key ? "tls_certificate" : "tls_key")};
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 |
                       ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  boost::system::error_code problem;
  context->use_certificate_chain_file(settings.tls_certificate->string(), problem);
  if (problem)
    return unusable("tls_certificate", *settings.tls_certificate, problem.message());
  context->use_private_key_file(settings.tls_key->string(), ssl::context::pem, problem);
  if (problem)
    return unusable("tls_key", *settings.tls_key, problem.message());
  if (SSL_CTX_check_private_key(context->native_handle()) != 1)
    return unusable("tls_key", *settings.tls_key, "it is not the key of tls_certificate");
  SSL_CTX_set_alpn_select_cb(context->native_handle(), choose_protocol, nullptr);
  return context;
}

} // namespace colloquy::gateway
