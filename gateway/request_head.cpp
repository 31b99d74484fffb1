#include "gateway/request_head.hpp"

#include "messages/ids.hpp"
#include "messages/json_scan.hpp"

#include <boost/beast/http/error.hpp>

#include <algorithm>

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
template <class Name>
bool take(const http::fields& from, Name name, std::optional<std::string_view>& into) {
  const auto count = from.count(name);
  if (count == 1)
    into = view(from.find(name)->value());
  return count <= 1;
}

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
bool has_clear_body(const http::request_header<>& from) {
  std::optional<std::string_view> encoding;
  if (!take(from, http::field::transfer_encoding, encoding))
    return false;
  return !encoding || (from.version() >= 11 && boost::beast::iequals(*encoding, "chunked"));
}

} // namespace

std::optional<error> read_head(const http::request_header<>& from, http_request& into) {
  std::optional<std::string_view> id;
  into.method = view(from.method_string());
  const bool has_one_id = take(from, "X-Request-Id", id);
  into.id = has_one_id && id && is_plain(*id) ? std::string(*id) : uuid_to_string(new_uuid_v7());
  if (!take(from, http::field::host, into.host) || (from.version() >= 11 && !into.host))
    return broken("a request has one header Host");
  if (!has_clear_body(from))
    return broken("the only Transfer-Encoding that is taken is chunked, once, with HTTP/1.1");
  if (auto problem = read_target(view(from.target()), into))
    return problem;
  const bool is_clear = take(from, http::field::authorization, into.authorization) &&
                        take(from, http::field::content_type, into.headers.content_type) &&
                        take(from, "Idempotency-Key", into.headers.idempotency_key) &&
                        take(from, http::field::if_match, into.headers.if_match) &&
                        take(from, "Last-Event-ID", into.headers.last_event_id) &&
                        take(from, http::field::origin, into.origin) &&
                        take(from, http::field::access_control_request_method, into.asked_method);
  if (!is_clear)
    return broken("a header that may be there once is there twice");
  // These may be there several times, and then their first is as good as any.
  if (const auto at = from.find(http::field::accept); at != from.end())
    into.accept = view(at->value());
  if (const auto at = from.find(http::field::accept_encoding); at != from.end())
    into.accept_encoding = view(at->value());
  std::optional<std::string_view> trace;
  if (take(from, "traceparent", trace) && trace && is_plain(*trace))
    into.traceparent = trace;
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
