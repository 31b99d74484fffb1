// What connections are encrypted with.
#pragma once

#include "config/settings.hpp"
#include "messages/error.hpp"

#include <boost/asio/ssl/context.hpp>

#include <memory>

namespace colloquy::gateway {

/// From tls_certificate and tls_key, read now; null if neither is set. TLS 1.2 and newer. Errors: invalid_request,
/// naming the setting and the file.
result<std::shared_ptr<boost::asio::ssl::context>> make_tls(const config::settings& settings);

} // namespace colloquy::gateway
