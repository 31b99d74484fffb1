// Smaller replies for clients that take them.
#pragma once

#include "gateway/http_message.hpp"
#include "gateway/loop.hpp"

#include <boost/asio/thread_pool.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// Whether Accept-Encoding takes gzip (and not with q=0).
bool takes_gzip(std::string_view accept_encoding) noexcept;

/// Compresses the reply's body if it has that many bytes (0: never) and the client takes it; a large one in `aside`.
/// The encoding; "" if it is as it was.
task<std::string_view> compress(http_reply& reply, const http_request& request, std::size_t bytes_min,
                                boost::asio::thread_pool& aside);

/// None if it cannot be done, or would not be smaller.
std::optional<std::string> gzip(std::string_view text);

} // namespace colloquy::gateway
