// The first lines of a reply, and of what is asked before a reply: CORS.
#pragma once

#include "gateway/http_message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

struct head_facts {
  bool closes = false;          ///< the connection, behind this reply
  bool is_old = false;          ///< HTTP/1.0
  bool is_stream = false;       ///< chunked; of HTTP/1.0 until the connection ends
  std::uint64_t body_bytes = 0; ///< unless it is a stream
  std::string_view encoding{};  ///< of the body; "" for none
};

/// Everything up to the empty line, that too. Header values are cleaned of line breaks.
std::string reply_head(const http_request& request, const http_reply& reply, const head_facts& facts);

/// The origin that may read the reply, if the setting has the request's.
std::optional<std::string> allowed_origin(const std::optional<std::string>& cors_origins, const http_request& request);
void add_cors(http_reply& reply, const std::optional<std::string>& cors_origins, const http_request& request);
/// To OPTIONS: what there is, and for a browser that asks, what it may.
http_reply options_reply(std::string_view allowed_methods);

} // namespace colloquy::gateway
