// What a statement may leave behind in its session, judged by its text alone: never too little. What cannot be told is
// a doubt, and a session with a doubt keeps its backend.
#pragma once

#include "db/sql_tokens.hpp"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace colloquy::db {

enum class sql_kind : std::uint8_t {
  query,     ///< SELECT, VALUES, TABLE, WITH, EXPLAIN, SHOW
  change,    ///< INSERT, UPDATE, DELETE, MERGE
  set,       ///< a setting of the session, RESET too
  set_local, ///< of the transaction
  prepare,
  execute,
  deallocate,
  listen,
  unlisten,
  transaction, ///< BEGIN, COMMIT, SAVEPOINT and the like
  cursor,      ///< DECLARE, FETCH, MOVE, CLOSE
  discard,
  notify,
  other
};

struct sql_effects {
  sql_kind kind = sql_kind::other;
  std::string name{};  ///< of the setting, prepared statement or channel, as the server cuts it; "" for all of them
  std::string doubt{}; ///< why its session could not go on with another backend; "" if it could
  bool writes = false; ///< rows of tables
  bool touches_nothing = false; ///< no name, operator or call in it: SELECT 1
  /// Every name in it. A relation, type or function can only be touched by one of them, or by what one of these does.
  std::set<std::string> names{};
};

sql_effects judge(std::string_view sql);

/// Whether a statement of this kind may be tried by a role that only reads. Its rights decide in the end; what is
/// refused here changes things that rights do not cover, as in ALTER ROLE CURRENT_USER.
bool may_be_read_only(sql_kind kind) noexcept;

} // namespace colloquy::db
