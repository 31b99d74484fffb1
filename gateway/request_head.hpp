// The request line and headers, as the calls want them.
#pragma once

#include "config/settings.hpp"
#include "gateway/http_message.hpp"
#include "messages/error.hpp"

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/system/error_code.hpp>

#include <optional>

namespace colloquy::gateway {

/// Sets views into `from`. Errors, invalid_request: what two readers of one request might understand in two ways, such
/// as a header that is there twice, or that a request of HTTP/1.1 cannot be without.
std::optional<error> read_head(const boost::beast::http::request_header<>& from, http_request& into);

/// What a request that could not be read is answered with; none if nobody is there any more to be answered.
std::optional<error> why_broken(const boost::system::error_code& problem, const config::settings& settings);

} // namespace colloquy::gateway
