#include "gateway/problem.hpp"

#include "gateway/json_writer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds retry_default{1000};

bool tells_when_to_retry(unsigned status) {
  return status == 429 || status == 503;
}

/// What may be shown of an error: what the caller did, but not what the database or our own code said.
std::string shown(const error& why) {
  switch (why.code) {
  case error_code::internal:
    return "a fault of the service; its log tells more under this request's id";
  case error_code::database_unavailable:
    return "the database cannot be reached now; try again";
  default:
    return why.message;
  }
}

void write_mistake(json_writer& to, const mistake& what) {
  constexpr std::string_view names[] = {"pointer", "parameter", "parameter", "header"};
  to.open_object().member(names[static_cast<std::size_t>(what.in)], what.where).member("detail", what.detail);
  to.close_object();
}

struct problem_start {
  unsigned status;
  std::string_view code;
  std::string_view detail;
};

void begin(json_writer& to, const problem_start& of, const std::string& request_id) {
  to.open_object()
      .member("type", "about:blank")
      .member("status", of.status)
      .member("title", title_of(of.status))
      .member("detail", of.detail)
      .member("code", of.code)
      .member("request_id", request_id);
}

} // namespace

unsigned status_of(error_code code) noexcept {
  switch (code) {
  case error_code::invalid_request:
    return 400;
  case error_code::unauthenticated:
    return 401;
  case error_code::forbidden:
    return 403;
  case error_code::not_found:
    return 404;
  case error_code::method_not_allowed:
    return 405;
  case error_code::conflict:
  case error_code::turn_in_progress:
  case error_code::turn_lost:
  case error_code::session_not_active:
  case error_code::store_outdated:
  case error_code::migration_required:
    return 409;
  case error_code::session_expired:
    return 410;
  case error_code::precondition_failed:
    return 412;
  case error_code::payload_too_large:
    return 413;
  case error_code::idempotency_mismatch:
    return 422;
  case error_code::quota_exceeded:
    return 429;
  case error_code::overloaded:
  case error_code::database_unavailable:
  case error_code::not_owner:
    return 503;
  case error_code::deadline_exceeded:
    return 504;
  case error_code::internal:
    break;
  }
  return 500;
}

std::string_view title_of(unsigned status) noexcept {
  switch (status) {
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 409:
    return "Conflict";
  case 410:
    return "Gone";
  case 412:
    return "Precondition Failed";
  case 413:
    return "Content Too Large";
  case 422:
    return "Unprocessable Content";
  case 429:
    return "Too Many Requests";
  case 503:
    return "Service Unavailable";
  case 504:
    return "Gateway Timeout";
  default:
    return "Internal Server Error";
  }
}

http_reply make_problem(const error& why, const std::string& request_id) {
  http_reply reply;
  reply.status = status_of(why.code);
  reply.content_type = "application/problem+json";
  reply.code = to_string(why.code);
  if (why.code == error_code::internal)
    spdlog::error("request {}: {}", request_id, why.message);
  json_writer to(reply.body);
  begin(to, {reply.status, to_string(why.code), shown(why)}, request_id);
  if (why.accepted) {
    to.key("offsets").open_array();
    for (std::size_t i = 0; i < why.accepted->count; ++i)
      to.value(why.accepted->first_offset + static_cast<std::int64_t>(i));
    to.close_array();
  }
  to.close_object();
  if (tells_when_to_retry(reply.status)) {
    const auto wait = std::chrono::ceil<std::chrono::seconds>(why.retry_after.value_or(retry_default));
    reply.headers.emplace_back("Retry-After", std::to_string(std::max<std::int64_t>(1, wait.count())));
  }
  return reply;
}

http_reply make_problem(const call_reading& wrong, const std::string& request_id) {
  http_reply reply;
  const auto code = wrong.is_too_large ? error_code::payload_too_large : error_code::invalid_request;
  reply.status = status_of(code);
  reply.content_type = "application/problem+json";
  reply.code = to_string(code);
  const auto& first = wrong.mistakes.front();
  auto detail = (first.where.empty() ? "" : first.where + " ") + first.detail;
  if (wrong.mistake_count > 1)
    detail += "; and " + std::to_string(wrong.mistake_count - 1) + " more, see errors";
  json_writer to(reply.body);
  begin(to, {reply.status, to_string(code), detail}, request_id);
  to.key("errors").open_array();
  for (const auto& each : wrong.mistakes)
    write_mistake(to, each);
  to.close_array().close_object();
  return reply;
}

} // namespace colloquy::gateway
