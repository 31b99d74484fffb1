// What the pool asks the server about itself.
#pragma once

#include "db/statement.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace colloquy::db {

/// Our connections as the server lists them in pg_stat_activity, by application_name.
struct server_view {
  struct of_state {
    std::string state; ///< the server's word: active, idle, idle in transaction, ...
    std::int64_t count = 0;
    std::chrono::milliseconds longest{0}; ///< in this state
  };
  std::vector<of_state> states;
  std::int64_t total = 0;
  std::int64_t active = 0;
  std::int64_t idle = 0;
  std::int64_t idle_in_transaction = 0; ///< the failed ones too
  std::chrono::milliseconds oldest{0};  ///< since it was started
};

/// Of this database, those whose application_name is `application` or begins with it and a blank.
unit read_server_view(const std::string& application);
/// Empty if the query failed.
server_view decode_server_view(const unit_outcome& outcome);

} // namespace colloquy::db
