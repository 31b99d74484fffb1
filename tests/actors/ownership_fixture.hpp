// Processes over a model of the rows that say who owns what, on stepped time.
#pragma once

#include "actors/ownership.hpp"
#include "tests/actors/told_pool.hpp"
#include "tests/support/catch.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace colloquy::test {

struct entering {
  process_id process;
  db::process_place place;
};
struct taking {
  process_id process;
  std::vector<process_id> dead;
};

/// The rows of `processes` and `shards`, as db/ownership_queries.hpp tells it.
class shard_table {
public:
  struct row {
    db::process_place place;
    actors::pool_time renewed{};
    bool is_over = false;
  };

  std::any operator()(const told_pool::asked& what) {
    if (what.name == "enter") {
      const auto& wanted = std::any_cast<const entering&>(what.request);
      rows.insert_or_assign(wanted.process, row{wanted.place, now()});
      return true;
    }
    if (what.name == "take")
      return take(std::any_cast<const taking&>(what.request));
    const auto process = std::any_cast<process_id>(what.request);
    if (what.name == "renew")
      return renew(process);
    if (what.name == "others")
      return others(process);
    end(process);
    return true;
  }

  /// As another process would, long after the last renewal.
  void take_over_from(process_id process) { rows.at(process).is_over = true; }
  /// To one that runs elsewhere and is renewed for ever.
  process_id give_to_another(const db::shard_set& shards) {
    const auto other = process_id::make();
    rows[other] = row{{"elsewhere", 1, 1}, now() + std::chrono::hours{1000}};
    for (std::size_t i = 0; i < owners.size(); ++i)
      if (shards.test(i))
        owners[i] = other;
    return other;
  }
  std::size_t count_of(process_id process) const {
    return static_cast<std::size_t>(std::count(owners.begin(), owners.end(), process));
  }

  std::function<actors::pool_time()> now;
  std::map<process_id, row> rows;
  std::vector<std::optional<process_id>> owners = std::vector<std::optional<process_id>>(db::shard_count);

private:
  std::optional<db::shard_set> renew(process_id process) {
    auto found = rows.find(process);
    if (found == rows.end() || found->second.is_over)
      return std::nullopt;
    found->second.renewed = now();
    db::shard_set owned;
    for (std::size_t i = 0; i < owners.size(); ++i)
      owned.set(i, owners[i] == process);
    return owned;
  }
  std::vector<db::other_process> others(process_id process) const {
    std::vector<db::other_process> out;
    for (const auto& [id, each] : rows)
      if (id != process && !each.is_over)
        out.push_back({id, each.place});
    return out;
  }
  bool is_free(const std::optional<process_id>& owner, const std::vector<process_id>& dead) const {
    if (!owner || std::find(dead.begin(), dead.end(), *owner) != dead.end())
      return true;
    const auto& each = rows.at(*owner);
    return each.is_over || now() - each.renewed > db::ownership_lasts;
  }
  db::taken_shards take(const taking& wanted) {
    db::taken_shards out;
    out.previous.resize(db::shard_count);
    for (std::size_t i = 0; i < owners.size(); ++i)
      if (owners[i] != wanted.process && is_free(owners[i], wanted.dead)) {
        if (owners[i])
          out.previous[i] = owners[i];
        out.taken.set(i);
      }
    for (std::size_t i = 0; i < owners.size(); ++i)
      if (out.taken.test(i)) {
        if (owners[i])
          rows.at(*owners[i]).is_over = true;
        owners[i] = wanted.process;
      }
    return out;
  }
  void end(process_id process) {
    rows.at(process).is_over = true;
    for (auto& owner : owners)
      if (owner == process)
        owner.reset();
  }
};

using told_message = std::variant<actors::shards_owned, actors::ownership_lost>;

struct ownership_fixture {
  ownership_fixture() {
    table.now = [this] { return start + (steps.clock()() - wall_start); };
    pool.model = [this](const auto& what) { return table(what); };
    supervisor = pool.spawn(steps.system());
  }
  ~ownership_fixture() {
    for (const auto& each : running)
      caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
    running.clear();
    supervisor = nullptr;
    steps.run();
    pool.end();
    steps.run();
  }

  actors::ownership_work work() {
    actors::ownership_work out;
    out.enter = [this](process_id process, const db::process_place& place) {
      return pool.unit("enter", entering{process, place});
    };
    out.renew = [this](process_id process) { return pool.unit("renew", process); };
    out.decode_renewal = pool.decoder<std::optional<db::shard_set>>();
    out.read_others = [this](process_id process) { return pool.unit("others", process); };
    out.decode_others = pool.decoder<std::vector<db::other_process>>();
    out.take = [this](process_id process, const std::vector<process_id>& dead) {
      return pool.unit("take", taking{process, dead});
    };
    out.decode_taken = pool.decoder<db::taken_shards>();
    out.end = [this](process_id process) { return pool.unit("end", process); };
    return out;
  }

  /// A process whose listener writes down what it is told.
  actors::ownership_actor start_process(std::vector<told_message>& told, std::int64_t pid = 1,
                                        std::optional<process_id> former = {}) {
    auto listener = caf::actor_cast<actors::ownership_listener>(steps.system().spawn([&told] {
      return actors::ownership_listener::behavior_type{
          [&told](const actors::shards_owned& message) { told.emplace_back(message); },
          [&told](const actors::ownership_lost& message) { told.emplace_back(message); }};
    }));
    actors::ownership_options options;
    options.place = {"machine", pid, 1};
    options.former = former;
    options.has_ended = [this](const db::process_place& place) { return place.pid == ended_pid; };
    auto made = caf::actor_cast<actors::ownership_actor>(
        steps.system().spawn<actors::ownership>(supervisor, std::move(listener), std::move(options), work()));
    running.push_back(caf::actor_cast<caf::actor>(made));
    return made;
  }
  void stop_hard(const actors::ownership_actor& process) {
    caf::anon_send_exit(process, caf::exit_reason::kill);
    steps.run();
  }
  actors::ownership_status status(const actors::ownership_actor& process) {
    auto answer = steps.ask<actors::ownership_status>(process, actors::get_ownership_status{});
    steps.run();
    return answer->value().value();
  }
  pending_answer<actors::given_up> ask_to_give_up(const actors::ownership_actor& process,
                                                  std::optional<actors::pool_time> deadline = {}) {
    return steps.ask<actors::given_up>(process, actors::give_up{deadline});
  }

  stepped_system steps;
  told_pool pool;
  shard_table table;
  actors::supervisor_actor supervisor;
  std::vector<caf::actor> running;
  std::int64_t ended_pid = -1;
  const timestamp wall_start = steps.clock()();
  const actors::pool_time start = steps.system().clock().now();
};

inline const actors::shards_owned& owned_in(const told_message& message) {
  REQUIRE(std::holds_alternative<actors::shards_owned>(message));
  return std::get<actors::shards_owned>(message);
}

inline const auto all_away = [](const told_pool::asked&) { return std::optional(db::failure_kind::wait); };
inline const auto none_away = [](const told_pool::asked&) { return std::optional<db::failure_kind>(); };
inline const auto none_held = [](const told_pool::asked&) { return false; };

inline std::function<bool(const told_pool::asked&)> held(std::string name) {
  return [name = std::move(name)](const told_pool::asked& what) { return what.name == name; };
}

} // namespace colloquy::test
