// The sweeper against a model of the database and of the directory, on stepped time.
#pragma once

#include "actors/sweeper.hpp"
#include "tests/actors/told_pool.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace colloquy::test {

/// The directory to itself: this session is erased now.
struct told_erasure {
  session_key session;
  caf::typed_response_promise<result<erased>> answer;
};

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::told_erasure)

namespace colloquy::test {

struct finding {
  timestamp before{};
  db::shard_set shards;
  std::size_t limit = 0;
};
struct marking {
  process_id process;
  timestamp now{};
  std::vector<session_key> sessions;
};
struct forgetting {
  timestamp before{};
  std::size_t limit = 0;
};

inline session_key key_of(std::size_t shard) {
  session_key key{tenant_id::parse("acme").value(), session_id::make()};
  key.id.bytes[14] = static_cast<std::uint8_t>(shard >> 8);
  key.id.bytes[15] = static_cast<std::uint8_t>(shard);
  return key;
}

inline std::size_t shard_of(const session_id& id) {
  return (static_cast<std::size_t>(id.bytes[14]) << 8 | id.bytes[15]) % db::shard_count;
}

/// The sessions that there are, and what is left of those that were erased.
class session_table {
public:
  struct row {
    session_key key;
    timestamp expires_at{};
    bool is_marked = false;
    bool is_resident = false;
    bool cannot_be_marked = false;
    bool cannot_be_erased = false;
  };

  row& add(timestamp expires_at, std::size_t shard = 0) {
    const auto key = key_of(shard);
    return rows[key] = row{key, expires_at};
  }
  session_key add_erasure(int steps, std::size_t shard = 0) {
    const auto key = key_of(shard);
    left[key] = steps;
    return key;
  }
  std::size_t marked() const {
    return static_cast<std::size_t>(
        std::count_if(rows.begin(), rows.end(), [](const auto& each) { return each.second.is_marked; }));
  }

  std::any operator()(const told_pool::asked& what) {
    if (what.name == "overdue" || what.name == "old")
      return found(std::any_cast<const finding&>(what.request), what.name == "old");
    if (what.name == "mark")
      return mark(std::any_cast<const marking&>(what.request));
    if (what.name == "step")
      return step(std::any_cast<const session_key&>(what.request));
    if (what.name == "begun")
      return begun(std::any_cast<std::size_t>(what.request));
    if (what.name == "forget_keys") {
      forgotten_before = std::any_cast<const forgetting&>(what.request).before;
      const auto gone = std::min(keys, std::any_cast<const forgetting&>(what.request).limit);
      keys -= gone;
      return static_cast<std::int64_t>(gone);
    }
    processes_before = std::any_cast<timestamp>(what.request);
    return std::int64_t{1};
  }

  std::unordered_map<session_key, row> rows;
  std::unordered_map<session_key, int> left; // steps
  std::unordered_map<session_key, int> done; // steps
  std::unordered_set<session_key> unerasable;
  process_id owner;
  std::size_t keys = 0;
  timestamp forgotten_before{};
  timestamp processes_before{};

private:
  std::vector<session_key> found(const finding& wanted, bool marked) const {
    std::vector<row> all;
    for (const auto& [key, each] : rows)
      if (each.is_marked == marked && each.expires_at < wanted.before && wanted.shards.test(shard_of(key.id)))
        all.push_back(each);
    std::sort(all.begin(), all.end(), [](const row& a, const row& b) { return a.expires_at < b.expires_at; });
    std::vector<session_key> out;
    for (std::size_t i = 0; i < std::min(all.size(), wanted.limit); ++i)
      out.push_back(all[i].key);
    return out;
  }
  std::any mark(const marking& wanted) {
    std::int64_t count = 0;
    if (wanted.process != owner)
      return count;
    for (const auto& key : wanted.sessions)
      if (rows.at(key).cannot_be_marked)
        return error{error_code::internal, "it cannot be marked"};
    for (const auto& key : wanted.sessions)
      count += std::exchange(rows.at(key).is_marked, true) ? 0 : 1;
    return count;
  }
  std::any step(const session_key& key) {
    if (unerasable.contains(key))
      return error{error_code::internal, "it cannot be erased"};
    auto at = left.find(key);
    if (at == left.end())
      return error{error_code::not_found, "there is nothing to erase"};
    db::erasure_progress out;
    out.so_far.sessions = 1;
    out.so_far.events = 5000 * ++done[key];
    out.is_done = --at->second == 0;
    if (out.is_done)
      left.erase(at);
    return out;
  }
  std::vector<session_key> begun(std::size_t limit) const {
    std::vector<session_key> out;
    for (const auto& [key, steps] : left)
      if (out.size() < limit)
        out.push_back(key);
    return out;
  }
};

/// The directory, which knows who is in memory.
class told_directory {
public:
  using internal = actors::sweeper_directory::extend<caf::reacts_to<told_erasure>>;

  explicit told_directory(session_table& table)
    : table_(table) {}

  actors::sweeper_directory spawn(caf::actor_system& system) {
    return caf::actor_cast<actors::sweeper_directory>(system.spawn([this](internal::pointer self) {
      return internal::behavior_type{[this](const actors::expire_resident& wanted) { return sort_out(wanted); },
                                     [this, self](const erase_session& wanted) { return erase(self, wanted); },
                                     [this](told_erasure& due) { end(due); }};
    }));
  }

  std::unordered_set<session_key> told_to_expire;
  std::size_t calls = 0; // of actors::expire_resident
  std::size_t asked = 0; // to erase
  std::size_t at_once = 0;
  std::size_t most = 0;
  std::chrono::milliseconds takes{100};

private:
  result<actors::sessions_not_resident> sort_out(const actors::expire_resident& wanted) {
    ++calls;
    actors::sessions_not_resident out;
    for (const auto& key : wanted.sessions)
      if (table_.rows.at(key).is_resident)
        told_to_expire.insert(key);
      else
        out.sessions.push_back(key);
    return out;
  }
  caf::typed_response_promise<result<erased>> erase(internal::pointer self, const erase_session& wanted) {
    auto answer = self->make_response_promise<result<erased>>();
    ++asked;
    most = std::max(most, ++at_once);
    self->delayed_send(self, takes, told_erasure{wanted.session, answer});
    return answer;
  }
  void end(told_erasure& due) {
    --at_once;
    if (table_.rows.at(due.session).cannot_be_erased)
      due.answer.deliver(result<erased>(error{error_code::internal, "it cannot be erased"}));
    else if (table_.rows.erase(due.session) > 0)
      due.answer.deliver(result<erased>(erased{1}));
  }

  session_table& table_;
};

struct sweeper_fixture {
  sweeper_fixture() {
    pool.model = [this](const auto& what) { return table(what); };
    supervisor = pool.spawn(steps.system());
    options.now = steps.clock();
  }
  ~sweeper_fixture() {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(doorkeeper, caf::exit_reason::user_shutdown);
    actor = nullptr;
    doorkeeper = nullptr;
    supervisor = nullptr;
    steps.run();
    pool.end();
    steps.run();
  }

  actors::sweeper_work work() {
    actors::sweeper_work out;
    out.find_overdue = [this](timestamp now, const db::shard_set& shards, std::size_t limit) {
      return pool.unit("overdue", finding{now, shards, limit});
    };
    out.find_expired_before = [this](timestamp then, const db::shard_set& shards, std::size_t limit) {
      return pool.unit("old", finding{then, shards, limit});
    };
    out.decode_session_keys = pool.decoder<std::vector<session_key>>();
    out.mark_expired = [this](process_id process, timestamp now, const std::vector<session_key>& sessions) {
      return pool.unit("mark", marking{process, now, sessions});
    };
    out.decode_marked = pool.decoder<std::int64_t>();
    out.forget_keys = [this](timestamp before, std::size_t limit) {
      return pool.unit("forget_keys", forgetting{before, limit});
    };
    out.forget_processes = [this](timestamp before) { return pool.unit("forget_processes", before); };
    out.decode_forgotten = pool.decoder<std::int64_t>();
    out.erase_step = [this](const session_key& session) { return pool.unit("step", session); };
    out.decode_erasure = pool.decoder<db::erasure_progress>();
    out.read_erasures = [this](std::size_t limit) { return pool.unit("begun", limit); };
    out.decode_erasures = pool.decoder<std::vector<session_key>>();
    out.shard_of = shard_of;
    return out;
  }

  void start() {
    doorkeeper = directory.spawn(steps.system());
    actor = caf::actor_cast<actors::sweeper_actor>(
        steps.system().spawn<actors::sweeper>(supervisor, doorkeeper, options, work()));
    steps.run();
  }
  /// The shards 0 to 511, those that the tests use if they say nothing.
  process_id own(process_id process = process_id::make()) {
    actors::shards_owned told{process, {}, {}};
    for (std::size_t i = 0; i < 512; ++i)
      told.owned.set(i);
    told.newly = told.owned;
    table.owner = process;
    caf::anon_send(actor, told);
    steps.run();
    return process;
  }
  void lose(process_id process) {
    caf::anon_send(actor, actors::ownership_lost{process});
    steps.run();
  }
  pending_answer<erased> erase(const session_key& session,
                               std::chrono::milliseconds within = std::chrono::seconds{30}) {
    return steps.ask<erased>(actor, actors::run_erasure{session, steps.system().clock().now() + within});
  }
  /// A step of each erasure that is under way ends, as often as that.
  void end_steps(int times) {
    steps.run();
    for (int i = 0; i < times; ++i) {
      for (auto held = pool.count_held("step"); held > 0; --held)
        pool.answer_held("step");
      steps.run();
    }
  }
  timestamp now() const { return steps.clock()(); }

  stepped_system steps;
  told_pool pool;
  session_table table;
  told_directory directory{table};
  actors::sweeper_options options;
  actors::supervisor_actor supervisor;
  actors::sweeper_directory doorkeeper;
  actors::sweeper_actor actor;
};

inline const auto none_held = [](const told_pool::asked&) { return false; };
inline const auto none_fail = [](const told_pool::asked&) { return std::optional<db::failure_kind>(); };

inline std::function<bool(const told_pool::asked&)> named(std::string name) {
  return [name = std::move(name)](const told_pool::asked& what) { return what.name == name; };
}

inline std::function<std::optional<db::failure_kind>(const told_pool::asked&)> failing(std::string name,
                                                                                       db::failure_kind kind) {
  return [name = std::move(name), kind](const told_pool::asked& what) {
    return what.name == name ? std::optional(kind) : std::nullopt;
  };
}

inline bool has_value(const pending_answer<erased>& answer) {
  return *answer && (*answer)->has_value();
}

} // namespace colloquy::test
