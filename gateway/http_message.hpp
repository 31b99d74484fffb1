// A request and its reply, as handlers see them.
#pragma once

#include "gateway/call_reader.hpp"
#include "gateway/loop.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::gateway {

/// Of the Model Context Protocol.
struct mcp_headers {
  std::optional<std::string_view> version{};
  std::optional<std::string_view> method{};
  std::optional<std::string_view> name{};
  std::optional<std::string_view> session{};
};

/// Its views point into what the connection has read, and live as long as the request is under way.
struct http_request {
  std::string_view method{};
  std::string_view path{}; ///< as it stands, without the query
  std::string_view query{};
  call_headers headers{};
  std::optional<std::string_view> authorization{};
  std::optional<std::string_view> accept{};
  std::optional<std::string_view> accept_encoding{};
  std::optional<std::string_view> host{};
  std::optional<std::string_view> origin{};
  std::optional<std::string_view> asked_method{}; ///< Access-Control-Request-Method
  std::optional<std::string_view> traceparent{};
  mcp_headers mcp{};
  std::uint16_t local_port = 0; ///< that it came to; 0: it did not come by TCP
  bool has_body = false;
  std::string id{}; ///< X-Request-Id, the caller's or ours
  std::string body{};
};

/// Where a reply that has no end yet is written to.
class reply_sink {
public:
  reply_sink() = default;
  reply_sink(const reply_sink&) = delete;
  reply_sink& operator=(const reply_sink&) = delete;
  virtual ~reply_sink() = default;

  /// False: the client is gone, or too slow.
  virtual task<bool> write(std::string_view bytes) = 0;
  /// The client has gone, as far as can be seen without writing.
  virtual bool is_gone() = 0;
};

struct http_reply {
  unsigned status = 200;
  std::string_view content_type = "application/json"; ///< a literal; "" if there is no body
  std::string body{};
  std::vector<std::pair<std::string_view, std::string>> headers{}; ///< names are literals
  /// Instead of `body`: writes as it goes, until it returns. False: what was sent is not all there is.
  std::function<task<bool>(reply_sink&)> stream{};
  /// The reply could not be written to its end.
  std::function<void()> on_undelivered{};
  std::string code{}; ///< of a problem, for the access log
};

/// 204.
inline http_reply no_content() {
  http_reply reply;
  reply.status = 204;
  reply.content_type = "";
  return reply;
}

} // namespace colloquy::gateway
