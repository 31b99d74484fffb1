// What a session refuses before it accepts: whatever the database could refuse later, when it could only stop the
// session and delay everybody else's batch.
#pragma once

#include "messages/error.hpp"
#include "messages/requests.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::actors {

/// Of one append, all events together. An array parameter and a message to the server end at 1 GiB, and quoting can
/// double the tool calls' ids.
inline constexpr std::size_t append_bytes_max = std::size_t{256} << 20;

/// An event's short texts, some of them in an index, whose rows end at some 2,700 bytes; 255 characters fit anyway.
inline constexpr std::size_t event_field_bytes_max = 4 * limits::name_chars_max;
inline constexpr std::size_t tool_calls_max = 1000; ///< of one message

/// Of one turn, each way: far above any model's and far below what the sums in a bigint could overflow with.
inline constexpr std::int64_t turn_tokens_max = 1'000'000'000'000;

/// Digits before and after the point of a number in metadata, which the view `conversations` casts to jsonb: every
/// double has fewer, numeric could hold little more than 16,383 after the point, and reading writes them all out.
inline constexpr std::size_t metadata_digits_max = 400;

std::optional<error> check_creation(const create_session& request);
std::optional<error> check_event(const event_input& input);
std::optional<error> check_usage(const token_usage& usage, std::int64_t total_tokens);
std::optional<error> check_trace_id(std::string_view trace_id);
std::optional<error> check_token_budget(const std::optional<std::int64_t>& budget);
std::optional<error> check_reason(const std::string& reason);
std::optional<error> check_delta(const post_delta& request);
std::optional<error> check_update(const update_session& request, const session_record& record);
/// Valid UTF-8 without NUL, 1 to limits::name_chars_max characters.
bool is_storable_name(std::string_view name);
/// The key is such a name; fingerprint and scope are valid UTF-8 without NUL, at most limits::fingerprint_bytes_max and
/// limits::key_scope_bytes_max long.
bool is_storable(const idempotency& repeat);
/// What such a request is refused with.
error unstorable_key();
/// Under which its key is kept: the kind of request, and what it says beside.
std::string scope_of(std::string_view kind, const idempotency& repeat);

/// What the row of a session to be made reserves of the budget.
std::size_t creation_bytes(const create_session& request) noexcept;

} // namespace colloquy::actors
