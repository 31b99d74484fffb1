// Who owns which shards, as a process sees it: against a model of the database, on stepped time.
#include "actors/ownership.hpp"
#include "tests/actors/told_pool.hpp"
#include "tests/support/catch.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <map>
#include <variant>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

struct entry {
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
    pool_time renewed{};
    bool is_over = false;
  };

  std::any operator()(const told_pool::asked& what) {
    if (what.name == "enter") {
      const auto& wanted = std::any_cast<const entry&>(what.request);
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
  std::size_t count_of(process_id process) const {
    return static_cast<std::size_t>(std::count(owners.begin(), owners.end(), process));
  }

  std::function<pool_time()> now;
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

using told_message = std::variant<shards_owned, ownership_lost>;

struct fixture {
  fixture() {
    table.now = [this] { return start + (steps.clock()() - wall_start); };
    pool.model = [this](const auto& what) { return table(what); };
    supervisor = pool.spawn(steps.system());
  }
  ~fixture() {
    for (const auto& each : actors)
      caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
    actors.clear();
    supervisor = nullptr;
    steps.run();
    pool.end();
    steps.run();
  }

  ownership_work work() {
    ownership_work out;
    out.enter = [this](process_id process, const db::process_place& place) {
      return pool.unit("enter", entry{process, place});
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
  ownership_actor start_process(std::vector<told_message>& told, std::int64_t pid = 1) {
    auto listener = caf::actor_cast<ownership_listener>(steps.system().spawn([&told] {
      return ownership_listener::behavior_type{[&told](const shards_owned& message) { told.emplace_back(message); },
                                               [&told](const ownership_lost& message) { told.emplace_back(message); }};
    }));
    ownership_options options;
    options.place = {"machine", pid, 1};
    options.has_ended = [this](const db::process_place& place) { return place.pid == ended_pid; };
    auto made = caf::actor_cast<ownership_actor>(
        steps.system().spawn<ownership>(supervisor, std::move(listener), std::move(options), work()));
    actors.push_back(caf::actor_cast<caf::actor>(made));
    return made;
  }
  void stop_hard(const ownership_actor& process) {
    caf::anon_send_exit(process, caf::exit_reason::kill);
    steps.run();
  }
  ownership_status status(const ownership_actor& process) {
    auto answer = steps.ask<ownership_status>(process, get_ownership_status{});
    steps.run();
    return answer->value().value();
  }
  pending_answer<given_up> ask_to_give_up(const ownership_actor& process, std::optional<pool_time> deadline = {}) {
    return steps.ask<given_up>(process, give_up{deadline});
  }

  stepped_system steps;
  told_pool pool;
  shard_table table;
  supervisor_actor supervisor;
  std::vector<caf::actor> actors;
  std::int64_t ended_pid = -1;
  const timestamp wall_start = steps.clock()();
  const pool_time start = steps.system().clock().now();
};

const shards_owned& owned_in(const told_message& message) {
  REQUIRE(std::holds_alternative<shards_owned>(message));
  return std::get<shards_owned>(message);
}

const auto all_away = [](const told_pool::asked&) { return std::optional(db::failure_kind::wait); };
const auto none_away = [](const told_pool::asked&) { return std::optional<db::failure_kind>(); };
const auto none_held = [](const told_pool::asked&) { return false; };

std::function<bool(const told_pool::asked&)> held(std::string name) {
  return [name = std::move(name)](const told_pool::asked& what) { return what.name == name; };
}

} // namespace

TEST_CASE("a process alone takes every shard at once, and tells it once") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).owned.all());
  CHECK(owned_in(told[0]).newly.all());
  CHECK(test.table.count_of(owned_in(told[0]).process) == db::shard_count);
  test.steps.advance(60s);
  CHECK(told.size() == 1);
  CHECK(test.pool.count("renew") == 30);
  CHECK(test.pool.count("take") == 1); // there is nothing left to take
  const auto status = test.status(process);
  CHECK(status.process == owned_in(told[0]).process);
  CHECK(status.is_registered);
  CHECK(status.shards_owned == db::shard_count);
  CHECK(status.renewed_ago.value() <= 2s);
  CHECK_FALSE(status.failing_for);
}

TEST_CASE("a second process owns nothing beside a living first, and all of it within 15 s after that has stopped") {
  fixture test;
  std::vector<told_message> first, second;
  const auto process = test.start_process(first, 1);
  test.steps.run();
  test.start_process(second, 2);
  test.steps.advance(60s);
  REQUIRE(second.size() == 1); // so that it can answer for them that they are not its own
  CHECK(owned_in(second[0]).owned.none());
  test.stop_hard(process);
  test.steps.advance(15s);
  REQUIRE(second.size() == 2);
  CHECK(owned_in(second[1]).owned.all());
  CHECK(owned_in(second[1]).newly.all());
  CHECK(owned_in(second[1]).previous.at(7) == owned_in(first[0]).process);
}

TEST_CASE("shards of a process that has ended for certain are taken without waiting, of another only when it is due") {
  for (const bool is_certain : {true, false}) {
    fixture test;
    std::vector<told_message> first, second;
    const auto process = test.start_process(first, 1);
    test.steps.run();
    test.stop_hard(process);
    test.ended_pid = is_certain ? 1 : -1;
    test.start_process(second, 2);
    test.steps.run();
    REQUIRE(second.size() == 1);
    CHECK(owned_in(second[0]).owned.all() == is_certain);
    test.steps.advance(9s);
    CHECK(owned_in(second.back()).owned.all() == is_certain);
    test.steps.advance(4s);
    CHECK(owned_in(second.back()).owned.all());
  }
}

TEST_CASE("a process from which another has taken over says so, and goes on under a fresh process id") {
  fixture test;
  std::vector<told_message> told;
  test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  test.table.take_over_from(before);
  test.steps.advance(4s);
  REQUIRE(told.size() == 3);
  REQUIRE(std::holds_alternative<ownership_lost>(told[1]));
  CHECK(std::get<ownership_lost>(told[1]).process == before);
  CHECK(owned_in(told[2]).process != before);
  CHECK(owned_in(told[2]).newly.all()); // nobody else took them
  CHECK(owned_in(told[2]).previous.at(0) == before);
}

TEST_CASE("a fenced writer makes it look at once, unless it wrote for an older process id") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  caf::anon_send(process, writer_fenced{process_id::make()});
  test.steps.run();
  CHECK(test.pool.count("renew") == 0);
  caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  CHECK(test.pool.count("renew") == 1);
  CHECK(told.size() == 1); // it is owned still
  test.table.take_over_from(before);
  caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  CHECK(told.size() == 3);
}

TEST_CASE("what is fenced while a renewal is under way is looked at behind it, one renewal at a time") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = owned_in(told.at(0)).process;
  test.pool.holding = held("renew");
  for (int i = 0; i < 5; ++i)
    caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  REQUIRE(test.pool.count_held("renew") == 1);
  test.pool.answer_held("renew"); // read before it was taken over
  test.table.take_over_from(before);
  test.pool.holding = none_held;
  test.steps.run();
  CHECK(test.pool.count("renew") == 2);
  CHECK(told.size() == 3);
}

TEST_CASE("while the database is away nothing is given up, it is tried every 2 s, and known since when") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.advance(3s);
  test.pool.failing = all_away;
  const auto tried = test.pool.count("renew");
  test.steps.advance(60s);
  CHECK(test.pool.count("renew") - tried == 30);
  CHECK(told.size() == 1);
  auto status = test.status(process);
  CHECK(status.shards_owned == db::shard_count);
  CHECK(status.failing_for.value() >= 57s);
  CHECK(status.failing_for.value() <= 60s);
  CHECK(status.renewed_ago.value() > 59s);
  CHECK_FALSE(status.problem.empty());
  test.pool.failing = none_away;
  test.steps.advance(2s);
  status = test.status(process);
  CHECK_FALSE(status.failing_for);
  CHECK(status.problem.empty());
  CHECK(told.size() == 1);
}

TEST_CASE("renewals that nobody answers end at their deadline, and the next begins at once") {
  fixture test;
  std::vector<told_message> told;
  test.start_process(told);
  test.steps.run();
  test.pool.holding = held("renew");
  std::size_t most = 0;
  for (int i = 0; i < 200; ++i) {
    test.steps.advance(100ms);
    most = std::max(most, test.pool.count_held("renew"));
  }
  CHECK(most == 1);
  CHECK(test.pool.count("renew") == 5); // from the 2nd, 6th, 10th, 14th and 18th second on
  test.pool.holding = none_held;
  test.steps.advance(4s);
  CHECK(told.size() == 1);
}

TEST_CASE("a pool that is gone is no reason to give anything up") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.end();
  test.steps.advance(30s);
  CHECK(told.size() == 1);
  CHECK(test.status(process).failing_for);
}

TEST_CASE("a registration whose answer is lost is tried under another process id") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("enter");
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = test.status(process).process;
  test.pool.lose_answer("enter");
  test.pool.holding = none_held;
  test.steps.advance(2s);
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).process != before);
  CHECK(owned_in(told[0]).owned.all());
  CHECK(test.table.rows.size() == 2);
}

TEST_CASE("shards that were taken and the answer lost are told with the next renewal") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("take");
  test.start_process(told);
  test.steps.run();
  test.pool.lose_answer("take");
  test.steps.run();
  CHECK(told.empty());
  test.steps.advance(2s);
  REQUIRE(told.size() == 1);
  CHECK(owned_in(told[0]).newly.all());
  CHECK(owned_in(told[0]).previous.empty());
}

TEST_CASE("a renewal that was answered before a taking, and comes behind it, takes nothing away") {
  fixture test;
  std::vector<told_message> first, second;
  const auto process = test.start_process(first, 1);
  test.steps.run();
  test.start_process(second, 2);
  test.steps.run();
  test.stop_hard(process);
  test.steps.advance(11900ms);
  REQUIRE(second.size() == 1);
  const bool taken_in_between = GENERATE(true, false);
  test.pool.holding = [](const auto& what) { return what.name == "renew" || what.name == "take"; };
  test.steps.advance(2s);
  if (test.pool.count_held("take") == 0 && test.pool.count_held("renew") == 1)
    test.pool.answer_held("renew");
  test.steps.advance(2s);
  REQUIRE(test.pool.count_held("take") == 1);
  REQUIRE(test.pool.count_held("renew") == 1);
  const auto answer_renewal = test.pool.answer_late("renew");
  if (taken_in_between)
    test.pool.answer_held("take");
  test.steps.run();
  answer_renewal();
  test.steps.run();
  CHECK(second.size() == (taken_in_between ? 2u : 1u));
  test.pool.holding = none_held;
  test.steps.advance(6s);
  CHECK(owned_in(second.back()).owned.all() == taken_in_between);
  CHECK(second.size() == (taken_in_between ? 2u : 1u));
}

TEST_CASE("an answer that comes for an older process id is ignored, and only then the next taking begins") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("take");
  const auto process = test.start_process(told);
  test.steps.run();
  const auto before = test.status(process).process;
  test.table.take_over_from(before);
  caf::anon_send(process, writer_fenced{before});
  test.steps.run();
  const auto after = test.status(process).process;
  REQUIRE(after != before);
  CHECK(test.status(process).is_registered);
  CHECK(test.pool.count("take") == 1); // two takers in one process there never are
  REQUIRE(told.size() == 1);
  const auto answer = test.pool.answer_late("take"); // all of them, for the older process id
  test.table.take_over_from(before);
  test.pool.holding = none_held;
  answer();
  test.steps.run();
  REQUIRE(told.size() == 2);
  CHECK(owned_in(told[1]).process == after);
  CHECK(owned_in(told[1]).owned.all());
  CHECK(owned_in(told[1]).previous.at(0) == before);
}

TEST_CASE("a process that gives up frees its shards for the next one at once, and stays quiet") {
  fixture test;
  std::vector<told_message> first, second;
  const auto process = test.start_process(first, 1);
  test.steps.run();
  test.start_process(second, 2);
  test.steps.advance(3s);
  auto answer = test.ask_to_give_up(process);
  test.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->has_value());
  CHECK(test.status(process).shards_owned == 0);
  test.steps.advance(2s);
  CHECK(owned_in(second.back()).owned.all());
  const auto own = owned_in(first[0]).process;
  const auto asked_since = std::count_if(test.pool.seen.begin(), test.pool.seen.end(), [&](const auto& what) {
    return what.name == "renew" && std::any_cast<process_id>(what.request) == own;
  });
  caf::anon_send(process, writer_fenced{own});
  test.steps.advance(20s);
  CHECK(asked_since == std::count_if(test.pool.seen.begin(), test.pool.seen.end(), [&](const auto& what) {
          return what.name == "renew" && std::any_cast<process_id>(what.request) == own;
        }));
  CHECK(first.size() == 1);
  auto again = test.ask_to_give_up(process);
  test.steps.run();
  REQUIRE(*again);
  CHECK((*again)->has_value());
}

TEST_CASE("giving up while the database is away is answered at its deadline, and done when it is back") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.failing = all_away;
  auto answer = test.ask_to_give_up(process, test.steps.system().clock().now() + 5s);
  auto longer = test.ask_to_give_up(process, test.steps.system().clock().now() + 60s);
  test.steps.advance(4900ms);
  CHECK_FALSE(*answer);
  test.steps.advance(100ms);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
  CHECK(test.pool.count("end") <= 25); // not as fast as it can
  CHECK_FALSE(*longer);
  test.pool.failing = none_away;
  test.steps.advance(500ms);
  REQUIRE(*longer);
  CHECK((*longer)->has_value());
  CHECK(test.table.count_of(owned_in(told.at(0)).process) == 0);
}

TEST_CASE("giving up does not wait for what is under way, and what that brings is told to nobody") {
  fixture test;
  std::vector<told_message> told;
  test.pool.holding = held("take");
  const auto process = test.start_process(told);
  test.steps.run();
  auto answer = test.ask_to_give_up(process);
  test.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->has_value());
  test.pool.answer_held("take");
  test.steps.advance(10s);
  CHECK(told.empty());
  CHECK(test.status(process).shards_owned == 0);
}

TEST_CASE("who waits until all is given up is answered when what does it dies") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.run();
  test.pool.holding = held("end");
  auto answer = test.ask_to_give_up(process);
  test.steps.run();
  CHECK_FALSE(*answer);
  test.stop_hard(process);
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::internal);
  CHECK((*answer)->failure().message.find("caf") == std::string::npos);
}

TEST_CASE("every unit of ownership has a deadline, and a taking is never run twice by itself") {
  fixture test;
  std::vector<told_message> told;
  const auto process = test.start_process(told);
  test.steps.advance(5s);
  test.ask_to_give_up(process);
  test.steps.run();
  for (const auto& what : test.pool.seen) {
    CAPTURE(what.name);
    CHECK(what.deadline - what.at <= 10s);
    CHECK(what.deadline > what.at);
    CHECK(what.idempotent == (what.name != "take" && what.name != "enter"));
  }
}
