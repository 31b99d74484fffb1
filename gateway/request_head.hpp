// The request line and headers, as the calls want them.
#pragma once

#include "gateway/http_message.hpp"
#include "messages/error.hpp"

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

#include <optional>

namespace colloquy::gateway {

/// Sets views into `from`. Errors, invalid_request: what two readers of one request might understand in two ways, such
/// as a header that is there twice, or that a request of HTTP/1.1 cannot be without.
std::optional<error> read_head(const boost::beast::http::request_header<>& from, http_request& into);

} // namespace colloquy::gateway
