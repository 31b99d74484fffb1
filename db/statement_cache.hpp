// Which statements one backend has prepared, and under which names: bounded, the least recently used go first.
//
// Not thread-safe. Names are never used twice on one connection, so a statement that the server has kept although it
// was forgotten here harms nothing but memory.
#pragma once

#include "db/statement.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace colloquy::db {

class statement_cache {
public:
  using entry_id = std::uint64_t;

  /// At least 1.
  explicit statement_cache(std::size_t entries_max);

  struct use {
    entry_id id = 0;
    const std::string* name = nullptr; ///< valid until the next call
    bool must_prepare = false;
  };
  /// The call's statement, which counts as prepared from now on: whoever is told to prepare it does, or forgets it.
  use take(const statement_call& call);

  /// Its preparation failed, or the server no longer has it as it was. Unknown ids are ignored.
  void forget(entry_id id);
  /// The session was discarded.
  void clear();

  /// Names that have made place for others since the last call, to be deallocated.
  std::vector<std::string> take_evicted();

  std::size_t size() const noexcept { return entries_.size(); }

private:
  struct entry {
    entry_id id;
    std::string name;
    const statement* ours;  // null: a caller's
    std::string caller_sql; // with its types in front, as the key
  };
  using entries = std::list<entry>; // most recently used first

  use remember(entry made);
  void erase(entries::iterator at);

  const std::size_t entries_max_;
  entry_id last_id_ = 0;
  entries entries_;
  std::unordered_map<const statement*, entries::iterator> ours_;
  std::unordered_map<std::string_view, entries::iterator> callers_; // keys point into entries_
  std::unordered_map<entry_id, entries::iterator> by_id_;
  std::vector<std::string> evicted_;
};

} // namespace colloquy::db
