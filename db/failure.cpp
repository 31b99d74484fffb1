#include "db/failure.hpp"

namespace colloquy::db {

std::string_view to_string(failure_kind kind) noexcept {
  switch (kind) {
  case failure_kind::data:
    return "data";
  case failure_kind::fence:
    return "fence";
  case failure_kind::retry:
    return "retry";
  case failure_kind::wait:
    return "wait";
  case failure_kind::connection_lost:
    return "connection lost";
  case failure_kind::fault:
    return "fault";
  }
  return "fault";
}

failure_kind classify_sqlstate(std::string_view sqlstate) noexcept {
  if (sqlstate == sqlstate_fence)
    return failure_kind::fence;
  if (sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P05") // terminated, crash, idle session timeout
    return failure_kind::connection_lost;
  if (sqlstate == "25P03" || sqlstate == "25P04") // idle in transaction, or a transaction, for too long
    return failure_kind::connection_lost;
  if (sqlstate == "40003") // statement completion unknown
    return failure_kind::connection_lost;

  const auto error_class = sqlstate.substr(0, 2);
  if (error_class == "08") // connection exception
    return failure_kind::connection_lost;
  // rollback, lock not available, a prepared statement that the unit before us failed to prepare
  if (error_class == "40" || sqlstate == "55P03" || sqlstate == "26000")
    return failure_kind::retry;
  if (error_class == "53" || error_class == "57" || error_class == "58") // resources, intervention, system error
    return failure_kind::wait;
  if (sqlstate == "25006") // read-only transaction: the server is a standby now
    return failure_kind::wait;
  // data exception, integrity, a check that raised, a program limit (a value too large for an index)
  if (error_class == "22" || error_class == "23" || error_class == "54" || error_class == "P0" || error_class == "44")
    return failure_kind::data;
  return failure_kind::fault;
}

} // namespace colloquy::db
