// A request's parameters, headers and body, read as its operation's rules say.
#pragma once

#include "gateway/field_reader.hpp"
#include "gateway/operations.hpp"
#include "gateway/values.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

/// The headers that calls are made of; the others are the connection's business.
struct call_headers {
  std::optional<std::string_view> idempotency_key{};
  std::optional<std::string_view> if_match{};
  std::optional<std::string_view> last_event_id{};
  std::optional<std::string_view> content_type{};
};

/// What a request says. JSON in it points into the body, which must outlive it.
struct call_values {
  values path;
  values query;
  values body;
  std::vector<event_input> messages{};       ///< of body_kind::messages
  std::vector<std::string_view> documents{}; ///< of body_kind::documents
  std::string_view raw_body{};               ///< of a body that is taken as it is
  std::optional<std::string> idempotency_key{};
  std::optional<std::int64_t> version{};       ///< of If-Match
  std::optional<std::int64_t> last_event_id{}; ///< of a call that streams
};

/// All that is wrong with a request, or what it says.
struct call_reading {
  call_values said{};
  std::vector<mistake> mistakes{}; ///< the first of them
  std::size_t mistake_count = 0;
  bool is_too_large = false;

  bool is_good() const noexcept { return mistake_count == 0; }
};

/// `parameters`: of the path, decoded. Pure: nothing is kept, nobody is asked.
call_reading read_call(const operation& of, const std::vector<std::string>& parameters, std::string_view query,
                       const call_headers& headers, std::string_view body, const size_limits& limits);

} // namespace colloquy::gateway
