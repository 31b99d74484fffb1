// Reading a session's log: pages from either end, what is hidden, and forks.
#include "tests/db/session_store.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

log_part part_of(event_offset after, event_offset before, std::size_t limit, bool newest_first = false) {
  log_part part;
  part.after = after;
  part.before = before;
  part.limit = limit;
  part.newest_first = newest_first;
  return part;
}

constexpr event_offset no_end = std::numeric_limits<event_offset>::max();

/// Ends a turn as rolled back, so that what it wrote is hidden.
void roll_back(session_store& store, const session_key& key, turn_row turn, event_offset first, std::int64_t messages) {
  turn.status = turn_status::rolled_back;
  turn.ended_at = turn.started_at;
  turn.first_offset = first;
  turn.messages = messages;
  auto write = write_to(key);
  write->turns = {turn};
  store.commit({write});
}

std::int64_t hidden(session_store& store, const session_key& key, event_offset through, bool is_fork = false) {
  const auto count = decode_count(store.run(count_hidden(session_store::source_of(key, is_fork), through)));
  REQUIRE(count);
  return *count;
}

/// A fork of `from` at that offset, made as a session actor makes it.
log_maker fork(session_store& store, const session_key& from, bool from_is_fork, event_offset at) {
  const auto point = decode_fork_point(store.run(find_fork_point(session_store::source_of(from, from_is_fork), at)));
  REQUIRE(point);
  auto record = record_of(new_key(from.tenant.text()));
  record.parent = from.id;
  record.fork_offset = at;
  auto write = making(record);
  write->parent = *point;
  CHECK(store.commit({write}).empty());
  return log_maker(record.key, at + 1, point->messages);
}

} // namespace

TEST_CASE("a log is read from either end, in order, between bounds that are not in it") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  store.commit({making(key), log.messages(10)});
  CHECK(store.read_log(key) == "0 1 2 3 4 5 6 7 8 9");
  CHECK(store.read_log(key, part_of(3, no_end, 3)) == "4 5 6");
  CHECK(store.read_log(key, part_of(3, 6, 100)) == "4 5");
  CHECK(store.read_log(key, part_of(-1, no_end, 3, true)) == "9 8 7");
  CHECK(store.read_log(key, part_of(3, 8, 2, true)) == "7 6");
  CHECK(store.read_log(key, part_of(9, no_end, 3)) == "");
  CHECK(store.read_log(key, part_of(5, 6, 3)) == "");
  CHECK(store.read_log(new_key()) == "");
  CHECK(store.read_log({tenant_id::parse("other").value(), key.id}) == "");
}

TEST_CASE("everything of an event comes back as it was written") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  auto entry = log.make(event_kind::message, "{\"x\": 1.0e5,  \"y\":\"\\u0041\"}", turn_id::make());
  entry.role = message_role::assistant;
  entry.tokens = 17;
  entry.tool_call_ids = {"call \"1\"", "call\\2"};
  entry.source = "cli";
  entry.trace_id = "trace";
  entry.author = "bob";
  auto other = log.make(event_kind::tool, "[]");
  other.tool_call_id = "call";
  auto write = write_to(key);
  write->events = std::make_shared<const std::vector<event>>(std::vector{entry, other});
  store.commit({making(key), write});
  const auto read = decode_log(store.run(read_log(session_store::source_of(key), {})));
  REQUIRE(read);
  REQUIRE(read->size() == 2);
  const auto& back = read->front();
  CHECK(back.offset == 0);
  CHECK(back.data == entry.data);
  CHECK(back.role == message_role::assistant);
  CHECK(back.turn == entry.turn);
  CHECK(back.tokens == 17);
  CHECK(back.tool_call_ids == entry.tool_call_ids);
  CHECK(back.source == "cli");
  CHECK(back.trace_id == "trace");
  CHECK(back.author == "bob");
  CHECK(back.messages == 1);
  CHECK(back.created_at == entry.created_at);
  CHECK(read->back().kind == event_kind::tool);
  CHECK(read->back().tool_call_id == "call");
  CHECK(read->back().messages == 1);
  CHECK(read->back().author == "");
}

TEST_CASE("a page ends when its bytes are reached, with one event at least, from either end and in forks") {
  volatile std::size_t large = 100'000; // a constant makes GCC 12 see copies that there are not (its bug 105651)
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  std::vector<event> events;
  for (const char c : {'a', 'b', 'c', 'd'})
    events.push_back(log.make(event_kind::message, std::string(large, c)));
  auto write = write_to(key);
  write->events = std::make_shared<const std::vector<event>>(events);
  store.commit({making(key), write});
  const auto branch = fork(store, key, false, 3);
  for (const bool forked : {false, true}) {
    const auto source = session_store::source_of(forked ? branch.key() : key, forked);
    const auto letters = [&](std::size_t bytes, bool newest_first) {
      auto part = part_of(-1, no_end, 10, newest_first);
      part.bytes_max = bytes;
      std::string out;
      const auto found = decode_log(store.run(read_log(source, part)));
      REQUIRE(found);
      for (const auto& entry : *found)
        out += entry.data.front();
      return out;
    };
    CHECK(letters(1, false) == "a");
    CHECK(letters(100'000, false) == "a");
    CHECK(letters(100'001, false) == "ab");
    CHECK(letters(250'000, true) == "dcb");
    CHECK(letters(1, true) == "d");
    CHECK(letters(1'000'000, false) == "abcd");
  }
}

TEST_CASE("what a rolled-back turn wrote is left out, and only that") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  const auto first = turn_of(1), second = turn_of(2);
  store.commit({making(key), log.messages(1), log.status("s", first.id), log.messages(2, first.id), log.messages(1),
                log.messages(1, first.id), log.messages(2, second.id)});
  CHECK(store.read_log(key) == "0 s 2 3 4 5 6 7");
  roll_back(store, key, first, 1, 3);
  CHECK(store.read_log(key) == "0 4 6 7");
  CHECK(store.read_log(key, part_of(-1, no_end, 3, true)) == "7 6 4");
  CHECK(store.read_log(key, part_of(0, no_end, 1)) == "4");
  CHECK(hidden(store, key, 7) == 3);
  CHECK(hidden(store, key, 5) == 3);
  CHECK(hidden(store, key, 4) == 2);
  CHECK(hidden(store, key, 2) == 1);
  CHECK(hidden(store, key, 1) == 0);
  CHECK(hidden(store, key, 0) == 0);
  roll_back(store, key, second, 6, 2);
  CHECK(hidden(store, key, 7) == 5);
  CHECK(hidden(store, key, 6) == 4);
  CHECK(hidden(store, key, 5) == 3);
  CHECK(store.read_log(key) == "0 4");
  CHECK(hidden(store, {tenant_id::parse("other").value(), key.id}, 7) == 0);
}

TEST_CASE("messages alone are read, and the first of them that is to be seen") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  const auto turn = turn_of(1);
  store.commit({making(key), log.status("s"), log.messages(1, turn.id), log.status("t"), log.messages(2)});
  auto messages = part_of(-1, no_end, 2, true);
  messages.only_messages = true;
  CHECK(store.read_log(key, messages) == "4 3");
  messages.newest_first = false;
  CHECK(store.read_log(key, messages) == "1 3");
  const auto first = [&] {
    return decode_log(store.run(read_first_message(session_store::source_of(key))))->at(0).offset;
  };
  CHECK(first() == 1);
  roll_back(store, key, turn, 1, 1);
  CHECK(first() == 3);
}

TEST_CASE("a fork shows what it shares and then its own, whatever is written behind it in the other log") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  store.commit({making(key), log.messages(6)});
  auto branch = fork(store, key, false, 3);
  CHECK(store.read(branch.key()).record.durable_offset == 3);
  CHECK(store.read(branch.key()).record.next_offset == 4);
  CHECK(store.read(branch.key()).messages == 4);
  CHECK(store.read(branch.key()).record.parent == key.id);
  CHECK(store.read(branch.key()).record.fork_offset == 3);
  auto own = write_to(branch.key());
  own->events = std::make_shared<const std::vector<event>>(
      std::vector{branch.make(event_kind::message, "x"), branch.make(event_kind::message, "y")});
  store.commit({own, log.messages(2)});
  CHECK(store.read(branch.key()).record.durable_offset == 5);
  CHECK(store.read(branch.key()).messages == 6);
  const auto source = session_store::source_of(branch.key(), true);
  CHECK(store.read_log(source) == "0 1 2 3 x y");
  CHECK(store.read_log(source, part_of(1, 5, 100)) == "2 3 x");
  CHECK(store.read_log(source, part_of(-1, no_end, 3, true)) == "y x 3");
  CHECK(store.read_log(source, part_of(-1, 4, 2, true)) == "3 2");
  CHECK(store.read_log(source, part_of(2, no_end, 2)) == "3 x");
  CHECK(store.read_log(source, part_of(4, no_end, 2)) == "y");
  CHECK(store.read_log(key) == "0 1 2 3 4 5 6 7");
  CHECK(store.read_log({tenant_id::parse("other").value(), log_id{branch.key().id.bytes}, true}) == "");
}

TEST_CASE("a fork of a fork begins in the log that itself holds the offset, so no chain has an idle link") {
  session_store store;
  const auto root = new_key();
  log_maker log(root);
  store.commit({making(root), log.messages(5)});
  auto middle = fork(store, root, false, 2);
  store.commit({middle.messages(3)}); // 3, 4, 5
  auto low = fork(store, middle.key(), true, 1), high = fork(store, middle.key(), true, 4);
  const auto parent_of = [&](const session_key& key) {
    return store.database.value("SELECT parent_id FROM logs WHERE id = '" + key.id.to_string() + "'");
  };
  CHECK(parent_of(low.key()) == root.id.to_string());
  CHECK(parent_of(high.key()) == middle.key().id.to_string());
  CHECK(parent_of(root) == "");
  store.commit({low.messages(1), high.messages(1)});
  CHECK(store.read_log(session_store::source_of(low.key(), true)) == "0 1 2");
  CHECK(store.read_log(session_store::source_of(high.key(), true)) == "0 1 2 3 4 5");
  CHECK(store.read_log(session_store::source_of(high.key(), true), part_of(0, 5, 10, true)) == "4 3 2 1");
  CHECK(store.count("logs") == "4");
  const auto missing = decode_fork_point(store.run(find_fork_point(session_store::source_of(high.key(), true), 6)));
  REQUIRE_FALSE(missing);
  CHECK(missing.failure().code == error_code::not_found);
  CHECK(decode_fork_point(store.run(find_fork_point(session_store::source_of(high.key(), true), 0)))->messages == 1);
  CHECK(decode_fork_point(store.run(find_fork_point(session_store::source_of(root), 4)))->log == log_id{root.id.bytes});
}

TEST_CASE("what is hidden in a log is hidden in its forks, and counted there as far as they share it") {
  session_store store;
  const auto root = new_key();
  log_maker log(root);
  const auto turn = turn_of(1), later = turn_of(2);
  store.commit({making(root), log.messages(1), log.messages(3, turn.id), log.messages(2)});
  roll_back(store, root, turn, 1, 3);
  auto whole = fork(store, root, false, 5), inside = fork(store, root, false, 2);
  const auto own = turn_of(1);
  store.commit({whole.messages(1), whole.messages(2, own.id), log.messages(1, later.id)});
  roll_back(store, whole.key(), own, 7, 2);
  roll_back(store, root, later, 6, 1);
  const auto source = session_store::source_of(whole.key(), true);
  CHECK(store.read_log(source) == "0 4 5 6");
  CHECK(store.read_log(source, part_of(-1, no_end, 2, true)) == "6 5");
  CHECK(store.read_log(session_store::source_of(inside.key(), true)) == "0");
  CHECK(hidden(store, whole.key(), 8, true) == 5);
  CHECK(hidden(store, whole.key(), 7, true) == 4);
  CHECK(hidden(store, whole.key(), 5, true) == 3);
  CHECK(hidden(store, whole.key(), 2, true) == 2);
  CHECK(hidden(store, inside.key(), 2, true) == 2);
  CHECK(hidden(store, root, 6) == 4);
}

TEST_CASE("a fork that is not made leaves no log behind; one whose place is gone fails its batch") {
  session_store store;
  const auto root = new_key();
  log_maker log(root);
  store.commit({making(root), log.messages(2)});
  auto record = record_of(new_key());
  record.parent = root.id;
  record.fork_offset = 1;
  auto first = making(record);
  first->parent = log_parent{log_id{root.id.bytes}, 1, 2};
  remembered_key key;
  key.scope = "fork";
  key.key = "k";
  first->key = key;
  store.commit({first});
  CHECK(store.count("logs") == "2");
  CHECK(decode_key(store.run(find_key(root.tenant, root.id, "fork", "k")))->value().made == record.key.id);
  record.key = new_key();
  record.log = log_id{record.key.id.bytes};
  auto second = making(record);
  second->parent = first->parent;
  second->key = key;
  CHECK(store.commit({second}).size() == 1);
  CHECK(store.count("logs") == "2");
  second->key.reset();
  second->parent->offset = 2;
  const auto outcome = store.try_commit({second});
  REQUIRE(outcome.failure);
  CHECK(outcome.failure->kind == failure_kind::data);
  CHECK(store.count("logs") == "2");
}

TEST_CASE("a chain of many forks is read from its newest end without being walked to its root") {
  session_store store;
  const auto root = new_key();
  log_maker log(root);
  store.commit({making(root), log.messages(1)});
  auto last = log;
  for (int i = 0; i < 200; ++i) {
    auto next = fork(store, last.key(), i > 0, i);
    store.commit({next.messages(1)});
    last = next;
  }
  const auto source = session_store::source_of(last.key(), true);
  CHECK(store.read_log(source, part_of(-1, no_end, 3, true)) == "200 199 198");
  CHECK(store.read_log(source, part_of(-1, no_end, 3)) == "0 1 2");
  // Counted of this transaction alone: what others add to the server's counters, they may add late.
  const auto walked = [&](bool newest_first) {
    test_connection service(store.database.service_conninfo());
    service.exec("SET ROLE colloquy_service; SET enable_seqscan = off; SET colloquy.tenants = 'acme'");
    service.exec("BEGIN");
    service.exec("SELECT * FROM read_fork('acme', '" + last.key().id.to_string() + "', -1, 1000000, 3, 1000, " +
                 (newest_first ? "true" : "false") + ", false)");
    return std::stoi(service.value("SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'logs'"));
  };
  CHECK(walked(true) <= 4);
  CHECK(walked(false) >= 200);
}
