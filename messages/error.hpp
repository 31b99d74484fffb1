// What can go wrong, in terms that a caller can act on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace colloquy {

/// A code exists only if some caller reacts to it. The names are the stable `code` of the HTTP interface.
enum class error_code {
  invalid_request = 1,  ///< the request itself is wrong; repeating it cannot help
  unauthenticated,      ///< no key, or one that is not valid (any more)
  forbidden,            ///< this user may read here, not write; or the key's scopes do not reach so far
  not_found,            ///< no such thing, or another tenant's
  method_not_allowed,   ///< there is something at this path, but not for this method
  conflict,             ///< the name is taken
  turn_in_progress,     ///< a turn runs already in this session
  turn_lost,            ///< the turn is no longer the caller's
  session_not_active,   ///< paused or completed
  store_outdated,       ///< the store's recorded version is newer than the one it was opened with
  migration_required,   ///< the store's recorded version is another one, and the caller did not allow to change it
  session_expired,      ///< for good
  precondition_failed,  ///< the version that the caller expected is not the session's
  payload_too_large,    ///< over a size limit; the message names it
  idempotency_mismatch, ///< the key was used before, with another request
  quota_exceeded,       ///< the tenant has as much as it may have; try again after `retry_after`, if that can help
  internal,             ///< a fault of ours; reported in the log
  overloaded,           ///< a bound is reached; try again after `retry_after`
  database_unavailable, ///< PostgreSQL cannot be reached now; try again after `retry_after`
  not_owner,            ///< another process owns the session; try again after `retry_after`
  deadline_exceeded,    ///< not done in time; may still be done later
};

/// The stable name, as in "not_found".
constexpr std::string_view to_string(error_code code) noexcept {
  switch (code) {
  case error_code::invalid_request:
    return "invalid_request";
  case error_code::unauthenticated:
    return "unauthenticated";
  case error_code::forbidden:
    return "forbidden";
  case error_code::not_found:
    return "not_found";
  case error_code::method_not_allowed:
    return "method_not_allowed";
  case error_code::conflict:
    return "conflict";
  case error_code::turn_in_progress:
    return "turn_in_progress";
  case error_code::turn_lost:
    return "turn_lost";
  case error_code::session_not_active:
    return "session_not_active";
  case error_code::store_outdated:
    return "store_outdated";
  case error_code::migration_required:
    return "migration_required";
  case error_code::session_expired:
    return "session_expired";
  case error_code::precondition_failed:
    return "precondition_failed";
  case error_code::payload_too_large:
    return "payload_too_large";
  case error_code::idempotency_mismatch:
    return "idempotency_mismatch";
  case error_code::quota_exceeded:
    return "quota_exceeded";
  case error_code::internal:
    return "internal";
  case error_code::overloaded:
    return "overloaded";
  case error_code::database_unavailable:
    return "database_unavailable";
  case error_code::not_owner:
    return "not_owner";
  case error_code::deadline_exceeded:
    return "deadline_exceeded";
  }
  return "internal";
}

/// Events that an error leaves accepted: they are in the log, only not durable yet.
struct accepted_events {
  std::int64_t first_offset = 0;
  std::size_t count = 0;
};

/// An error with the sentence a person reads: it names the thing, the value, and what is allowed. Never a secret.
struct error {
  error_code code = error_code::internal;
  std::string message;
  std::optional<std::chrono::milliseconds> retry_after{};
  std::optional<accepted_events> accepted{}; ///< of an append whose deadline came before it was durable
};

/// A value or an error: what crosses a room instead of an exception. `result<void>` carries success alone.
template <class T>
class [[nodiscard]] result {
public:
  result(T value)
    : state_(std::in_place_index<0>, std::move(value)) {}
  result(error e)
    : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// Undefined unless has_value().
  T& value() & noexcept { return *std::get_if<0>(&state_); }
  const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return value(); }

  /// Undefined if has_value().
  colloquy::error& failure() noexcept { return *std::get_if<1>(&state_); }
  const colloquy::error& failure() const noexcept { return *std::get_if<1>(&state_); }

private:
  std::variant<T, colloquy::error> state_;
};

template <>
class [[nodiscard]] result<void> {
public:
  result() = default;
  result(error e)
    : failure_(std::move(e)) {}

  bool has_value() const noexcept { return !failure_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  colloquy::error& failure() noexcept { return *failure_; }
  const colloquy::error& failure() const noexcept { return *failure_; }

private:
  std::optional<colloquy::error> failure_;
};

} // namespace colloquy
