#include "gateway/reply_head.hpp"

#include "gateway/problem.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace colloquy::gateway {
namespace {

std::string_view words_of(unsigned status) {
  switch (status) {
  case 200:
    return "OK";
  case 201:
    return "Created";
  case 202:
    return "Accepted";
  case 204:
    return "No Content";
  default:
    return title_of(status);
  }
}

/// As of this second: RFC 9110 wants one of a server that has a clock.
const std::string& date_now() {
  thread_local std::time_t last = 0;
  thread_local std::string text;
  const auto now = std::time(nullptr);
  if (now != last) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::array<char, 40> buffer{};
    const auto size = std::strftime(buffer.data(), buffer.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    text.assign(buffer.data(), size);
    last = now;
  }
  return text;
}

void add(std::string& to, std::string_view name, std::string_view value) {
  to += name;
  to += ": ";
  to += value;
  to += "\r\n";
}

/// What may hold a caller's words cannot begin a line of its own.
void add_in_one_line(std::string& to, std::string_view name, std::string value) {
  std::replace_if(
      value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  add(to, name, value);
}

bool has_header(const http_reply& reply, std::string_view name) {
  for (const auto& [each, value] : reply.headers)
    if (each == name)
      return true;
  return false;
}

} // namespace

std::string reply_head(const http_request& request, const http_reply& reply, const head_facts& facts) {
  std::string head;
  head.reserve(512);
  head += facts.is_old ? "HTTP/1.0 " : "HTTP/1.1 ";
  head += std::to_string(reply.status);
  head += ' ';
  head += words_of(reply.status);
  head += "\r\n";
  add(head, "Date", date_now());
  if (!reply.content_type.empty())
    add(head, "Content-Type", reply.content_type);
  if (facts.is_stream && !facts.is_old)
    add(head, "Transfer-Encoding", "chunked");
  else if (!facts.is_stream && reply.status != 204)
    add(head, "Content-Length", std::to_string(facts.body_bytes));
  if (!facts.encoding.empty())
    add(head, "Content-Encoding", facts.encoding);
  if (!request.id.empty())
    add(head, "X-Request-Id", request.id);
  if (request.traceparent)
    add(head, "traceparent", *request.traceparent);
  if (!has_header(reply, "Cache-Control"))
    add(head, "Cache-Control", "no-store");
  add(head, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : reply.headers)
    add_in_one_line(head, name, value);
  if (facts.closes)
    add(head, "Connection", "close");
  else if (facts.is_old)
    add(head, "Connection", "keep-alive");
  head += "\r\n";
  return head;
}

std::optional<std::string> allowed_origin(const std::optional<std::string>& cors_origins, const http_request& request) {
  if (!cors_origins || !request.origin)
    return std::nullopt;
  if (*cors_origins == "*")
    return "*";
  for (std::string_view rest = *cors_origins; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    if (rest.substr(0, comma) == *request.origin)
      return std::string(*request.origin);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return std::nullopt;
}

void add_cors(http_reply& reply, const std::optional<std::string>& cors_origins, const http_request& request) {
  if (!cors_origins)
    return;
  reply.headers.emplace_back("Vary", "Origin");
  const auto origin = allowed_origin(cors_origins, request);
  if (!origin)
    return;
  reply.headers.emplace_back("Access-Control-Allow-Origin", *origin);
  reply.headers.emplace_back("Access-Control-Expose-Headers",
                             "ETag, Location, Retry-After, X-Request-Id, RateLimit-Limit, RateLimit-Remaining, "
                             "RateLimit-Reset, Mcp-Session-Id, WWW-Authenticate");
  if (request.method == "OPTIONS" && request.asked_method) {
    reply.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    reply.headers.emplace_back("Access-Control-Allow-Headers",
                               "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, X-Request-Id, "
                               "traceparent, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name");
    reply.headers.emplace_back("Access-Control-Max-Age", "600");
  }
}

http_reply options_reply(std::string_view allowed_methods) {
  auto reply = no_content();
  reply.headers.emplace_back("Allow", std::string(allowed_methods));
  return reply;
}

} // namespace colloquy::gateway
