#include "gateway/call.hpp"

#include "gateway/secrets.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

} // namespace

std::optional<idempotency> call::repeat(std::string scope) const {
  if (!said.idempotency_key)
    return std::nullopt;
  // What is kept with a key is told to whoever comes with it: of a user's own to that user alone. By a digest, for
  // together they may be longer than what tells keys apart may be.
  if (who.as_user)
    scope = "user:" + sha256_hex(*who.as_user + '\0' + scope);
  return idempotency{*said.idempotency_key, sha256_hex(request.body), std::move(scope)};
}

// W3C Trace Context: 00-TRACE-PARENT-FLAGS.
std::string call::trace_id() const {
  if (!request.traceparent || request.traceparent->size() < 55)
    return {};
  const auto trace = request.traceparent->substr(3, 32);
  const bool is_good = (*request.traceparent)[2] == '-' && (*request.traceparent)[35] == '-' && is_hex(trace) &&
                       trace.find_first_not_of('0') != std::string_view::npos;
  return is_good ? std::string(trace) : std::string();
}

} // namespace colloquy::gateway
