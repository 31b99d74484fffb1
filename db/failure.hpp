// What a server, or the way to it, refused: classified into what a caller does next.
#pragma once

#include <string>
#include <string_view>

namespace colloquy::db {

enum class failure_kind {
  data,            ///< this unit's own data; the same again fails again
  fence,           ///< our fence raised: another epoch or batch came first
  retry,           ///< nothing was done; the same again may work at once (deadlock, serialization)
  wait,            ///< nothing was done; the server is short of something (space, slots, time) or starting up
  connection_lost, ///< the connection is gone; whether the unit was committed is unknown
  fault,           ///< the schema, the rights or the statement are wrong: ours to mend
};

std::string_view to_string(failure_kind kind) noexcept;

struct symptom; // db/symptoms.hpp

/// `sqlstate` is empty when it was not the server that spoke. `message` never holds a statement's values: only the
/// server's primary message, whose quoting of values is limited to what violates a constraint's type.
struct db_failure {
  failure_kind kind = failure_kind::fault;
  std::string sqlstate;
  std::string message;
  const symptom* known = nullptr; ///< what is known of such words (db/symptoms.hpp makes it); lives as long as we do
};

/// Raised by begin_batch and claim_writer (db/migrations/).
inline constexpr std::string_view sqlstate_fence = "CQ001";

/// The kind of an error that the server reported, by PostgreSQL's table of error codes (appendix A of its manual).
failure_kind classify_sqlstate(std::string_view sqlstate) noexcept;

} // namespace colloquy::db
