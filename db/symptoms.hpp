// What servers, poolers and libpq say when they refuse, and what helps: docs/troubleshooting.md is this table in prose.
#pragma once

#include "db/failure.hpp"

#include <span>
#include <string_view>

namespace colloquy::db {

/// What a caller does about a failure.
enum class retry_action {
  retry_now,       ///< the same again, at once
  retry_later,     ///< the same again, after a while
  never,           ///< the same again fails again
  outcome_unknown, ///< it may have been done: again only if that does no harm
};

/// What stands in the way of a new connection.
enum class connect_trouble {
  none,                 ///< says nothing about connecting: it came from a statement
  credentials,          ///< who we are, or the database that we ask for, is refused: somebody has to change a setting
  too_many_connections, ///< the server or the pooler has no place
  network,              ///< nothing, or nobody, at the other end
  starting_up,          ///< the server starts, stops, recovers, or is not the one of the pair that takes writes
  transaction_mode,     ///< a pooler that does not keep a session's backend
  certificate,          ///< encryption, or the proof of who the server is
  other,
};

/// All text is static.
struct symptom {
  std::string_view id;       ///< stable, in kebab case, as in "slots-reserved"
  std::string_view sqlstate; ///< all of it, or its class of two characters; "" for those who are not the server
  /// Found in what was said, upper and lower case alike; alternatives have a | between them, and * in
  /// one stands for anything; "" for any words.
  std::string_view text;
  failure_kind kind;
  connect_trouble trouble;
  std::string_view advice;  ///< one sentence: what to do
  std::string_view setting; ///< ours, to look at; "" for none
  std::string_view command; ///< to run; "" for none
};

/// Those with text first, then those of one SQLSTATE, then those of a class.
std::span<const symptom> symptoms() noexcept;

/// The first that fits, or null. The text alone decides, where there is one, for an empty `sqlstate` (while connecting
/// libpq gives the server's words without it) and for those that poolers give to everything (08P01, XX000). A symptom
/// without SQLSTATE (a pooler's, or libpq's) is not looked for in errors that repeat what a statement says: of data,
/// constraints, syntax and RAISE.
const symptom* find_symptom(std::string_view sqlstate, std::string_view message) noexcept;

retry_action action_for(failure_kind kind) noexcept;

std::string_view to_string(retry_action action) noexcept;
std::string_view to_string(connect_trouble trouble) noexcept;

/// The failure with its kind and symptom looked up; what nobody knows and no server said is connection_lost.
/// `while_connecting`: nothing was sent, so connection_lost becomes wait.
db_failure make_failure(std::string sqlstate, std::string message, bool while_connecting = false);

/// The message, and behind a dash what to do, where that is known. One line if the message is one.
std::string describe(const db_failure& failure);

} // namespace colloquy::db
