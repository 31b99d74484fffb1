#include "gateway/request_head.hpp"

#include "messages/ids.hpp"
#include "messages/json_scan.hpp"

#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <utility>

namespace colloquy::gateway {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t request_id_bytes_max = 128;
constexpr std::size_t target_bytes_max = 8 * 1024;

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

/// Letters that neither a log nor a header can be broken with.
bool is_plain(std::string_view text) {
  return !text.empty() && text.size() <= request_id_bytes_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
}

error broken(std::string message) {
  return {error_code::invalid_request, std::move(message)};
}

/// False if it is there twice.
/// The header fields that anything is read from. They are gone through once: looking each of these up by its name would
/// cost more than all else that is done with a head.
struct known_fields {
  std::optional<std::string_view> id{};
  std::optional<std::string_view> transfer_encoding{};
  std::optional<std::string_view> trace{};
  bool has_twice = false; ///< one that may be there once
  bool has_many_ids = false;
  bool has_many_traces = false;

  known_fields(const http::fields& from, http_request& into) {
    for (const auto& each : from)
      take(each, into);
  }

private:
  void take(const http::fields::value_type& each, http_request& into) {
    const auto value = view(each.value());
    switch (each.name()) {
    case http::field::host:
      return once(into.host, value);
    case http::field::transfer_encoding:
      return once(transfer_encoding, value);
    case http::field::authorization:
      return once(into.authorization, value);
    case http::field::content_type:
      return once(into.headers.content_type, value);
    case http::field::if_match:
      return once(into.headers.if_match, value);
    case http::field::origin:
      return once(into.origin, value);
    case http::field::access_control_request_method:
      return once(into.asked_method, value);
    case http::field::accept:
      return first(into.accept, value);
    case http::field::accept_encoding:
      return first(into.accept_encoding, value);
    case http::field::unknown:
      return take_unknown(view(each.name_string()), value, into);
    default:
      return;
    }
  }

  /// Names that the library has no number for.
  void take_unknown(std::string_view name, std::string_view value, http_request& into) {
    if (boost::beast::iequals(name, "Idempotency-Key"))
      once(into.headers.idempotency_key, value);
    else if (boost::beast::iequals(name, "Last-Event-ID"))
      once(into.headers.last_event_id, value);
    else if (boost::beast::iequals(name, "Mcp-Session-Id"))
      once(into.mcp.session, value);
    else if (boost::beast::iequals(name, "MCP-Protocol-Version"))
      once(into.mcp.version, value);
    else if (boost::beast::iequals(name, "Mcp-Method"))
      once(into.mcp.method, value);
    else if (boost::beast::iequals(name, "Mcp-Name"))
      once(into.mcp.name, value);
    else if (boost::beast::iequals(name, "X-Request-Id"))
      has_many_ids = std::exchange(id, value).has_value() || has_many_ids;
    else if (boost::beast::iequals(name, "traceparent"))
      has_many_traces = std::exchange(trace, value).has_value() || has_many_traces;
  }

  void once(std::optional<std::string_view>& into, std::string_view value) {
    has_twice = has_twice || into.has_value();
    into = value;
  }
  /// These may be there several times, and then their first is as good as any.
  static void first(std::optional<std::string_view>& into, std::string_view value) {
    if (!into)
      into = value;
  }
};

std::optional<error> read_target(std::string_view target, http_request& into) {
  if (target.size() > target_bytes_max)
    return broken("the target has more than " + std::to_string(target_bytes_max) + " bytes");
  // As a proxy is asked: scheme and host are as good as the header Host.
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.starts_with(scheme)) {
      const auto slash = target.find('/', scheme.size());
      target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
  const bool is_printable = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!target.starts_with('/') || !is_printable || target.find('#') != std::string_view::npos)
    return broken("the target " + quoted(target) + " is not a path");
  const auto mark = std::min(target.find('?'), target.size());
  into.path = target.substr(0, mark);
  into.query = target.substr(std::min(mark + 1, target.size()));
  return std::nullopt;
}

/// Else the end of the body cannot be known, or is known to another reader by another rule (RFC 9112, section 6.3).
} // namespace

std::optional<error> read_head(const http::request_header<>& from, http_request& into) {
  into.method = view(from.method_string());
  const known_fields found(from, into);
  into.id =
      found.id && !found.has_many_ids && is_plain(*found.id) ? std::string(*found.id) : uuid_to_string(new_uuid_v7());
  if (from.version() >= 11 && !into.host)
    return broken("a request has one header Host");
  if (found.transfer_encoding && (from.version() < 11 || !boost::beast::iequals(*found.transfer_encoding, "chunked")))
    return broken("the only Transfer-Encoding that is taken is chunked, once, with HTTP/1.1");
  if (found.has_twice)
    return broken("a header that may be there once is there twice");
  if (auto problem = read_target(view(from.target()), into))
    return problem;
  if (found.trace && !found.has_many_traces && is_plain(*found.trace))
    into.traceparent = found.trace;
  return std::nullopt;
}

std::optional<error> why_broken(const boost::system::error_code& problem, const config::settings& settings) {
  const bool is_of_http = problem.category() == http::make_error_code(http::error::end_of_stream).category();
  if (!is_of_http || problem == http::error::end_of_stream || problem == http::error::partial_message)
    return std::nullopt;
  if (problem == http::error::header_limit || problem == http::error::buffer_overflow)
    return error{error_code::payload_too_large,
                 "the header has more than " + std::to_string(settings.http_header_bytes_max) + " bytes"};
  if (problem == http::error::body_limit)
    return error{error_code::payload_too_large,
                 "the body has more than " + std::to_string(settings.body_bytes_max) + " bytes"};
  return broken("this is no HTTP/1.1 request: " + problem.message());
}

} // namespace colloquy::gateway
