// What a journal's replay asks: whether the log has an event just as it was written, and whether a session was erased.
#include "db/erasure.hpp"
#include "db/replay_queries.hpp"
#include "tests/db/session_store.hpp"

#include <algorithm>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

std::vector<std::size_t> stored_of(session_store& store, const session_key& key, const std::vector<event>& events) {
  std::vector<const event*> asked;
  for (const auto& each : events)
    asked.push_back(&each);
  auto found = decode_stored_events(store.run(find_stored_events(key.tenant, log_id{key.id.bytes}, asked)));
  REQUIRE(found);
  std::sort(found->begin(), found->end());
  return *found;
}

} // namespace

TEST_CASE("an event is found in the log only if all of it is what was written") {
  session_store store;
  log_maker log(new_key());
  auto turn = turn_of(1, turn_status::rolled_back);
  auto write = log.messages(4, turn.id);
  write->turns.push_back(turn); // what is hidden is found, too
  store.commit({making(log.key()), write});
  auto asked = *write->events;
  CHECK(stored_of(store, log.key(), asked) == std::vector<std::size_t>{0, 1, 2, 3});
  asked[0].data += "\n";
  asked[1].created_at += 1us;
  asked[2].turn = {};
  CHECK(stored_of(store, log.key(), asked) == std::vector<std::size_t>{3});
  asked[3].offset = 4;
  CHECK(stored_of(store, log.key(), asked).empty());
  const session_key elsewhere{tenant_id::parse("other").value(), log.key().id};
  CHECK(stored_of(store, elsewhere, *write->events).empty());
}

TEST_CASE("a session that is being erased is known as such until that is done") {
  session_store store;
  log_maker log(new_key());
  store.commit({making(log.key()), log.messages(1)});
  CHECK_FALSE(decode_erasure_found(store.run(find_erasure(log.key()))).value());
  auto last = write_to(log.key());
  last->erases = true;
  store.commit({last});
  CHECK(decode_erasure_found(store.run(find_erasure(log.key()))).value());
  while (!decode_erasure(store.run(erase_step(log.key())))->is_done) {
  }
  CHECK_FALSE(decode_erasure_found(store.run(find_erasure(log.key()))).value());
}
