#include "db/statement_cache.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::db {
namespace {

/// The same text with other types is another statement; the format is chosen anew with every execution.
std::string key_of(const caller_statement& statement) {
  std::string key;
  for (const auto type : statement.parameter_types)
    key += std::to_string(type) + ",";
  return key + ":" + statement.sql;
}

} // namespace

statement_cache::statement_cache(std::size_t entries_max)
  : entries_max_(std::max<std::size_t>(entries_max, 1)) {}

statement_cache::use statement_cache::take(const statement_call& call) {
  if (call.what) {
    if (auto found = ours_.find(call.what); found != ours_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return {found->second->id, &found->second->name, false};
    }
    return remember({0, call.what->name, call.what, {}});
  }
  auto key = key_of(*call.own);
  if (auto found = callers_.find(key); found != callers_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return {found->second->id, &found->second->name, false};
  }
  return remember({0, "caller", nullptr, std::move(key)});
}

statement_cache::use statement_cache::remember(entry made) {
  made.id = ++last_id_;
  made.name += "_" + std::to_string(made.id);
  entries_.push_front(std::move(made));
  const auto at = entries_.begin();
  by_id_.emplace(at->id, at);
  if (at->ours)
    ours_.emplace(at->ours, at);
  else
    callers_.emplace(at->caller_sql, at);
  if (entries_.size() > entries_max_) {
    const auto oldest = std::prev(entries_.end());
    evicted_.push_back(oldest->name);
    erase(oldest);
  }
  return {at->id, &at->name, true};
}

void statement_cache::erase(entries::iterator at) {
  by_id_.erase(at->id);
  if (at->ours)
    ours_.erase(at->ours);
  else
    callers_.erase(at->caller_sql);
  entries_.erase(at);
}

void statement_cache::forget(entry_id id) {
  if (auto found = by_id_.find(id); found != by_id_.end())
    erase(found->second);
}

void statement_cache::clear() {
  ours_.clear();
  callers_.clear();
  by_id_.clear();
  entries_.clear();
  evicted_.clear();
}

std::vector<std::string> statement_cache::take_evicted() {
  return std::exchange(evicted_, {});
}

} // namespace colloquy::db
