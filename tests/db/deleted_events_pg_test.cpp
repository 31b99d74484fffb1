// Events deleted from a session's view, by the server's functions: read, counted and forked against a naive model; and
// events filtered before they are cut.
#include "tests/db/session_store.hpp"

#include <algorithm>
#include <iostream>
#include <random>
#include <set>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

log_source view_of(const session_key& key, bool is_fork = false) {
  auto source = session_store::source_of(key, is_fork);
  source.session = key.id;
  source.has_deleted = true;
  return source;
}

draft deleting(const session_key& key, std::vector<event_range> ranges) {
  auto write = write_to(key);
  write->deleted = std::move(ranges);
  return write;
}

std::int64_t hidden(session_store& store, const log_source& source, event_offset through) {
  const auto count = decode_count(store.run(count_hidden(source, through)));
  REQUIRE(count);
  return *count;
}

std::string ranges_of(session_store& store, const session_key& key) {
  return store.database.value("SELECT coalesce(string_agg(first_offset || '-' || last_offset || ':' || messages, ' '"
                              " ORDER BY first_offset), '') FROM deleted_events WHERE session_id = '" +
                              key.id.to_string() + "'");
}

/// What a session shows, kept as simply as it can be said.
struct model {
  struct entry {
    bool is_message = false;
    bool is_rolled_back = false;
    bool is_deleted = false;
    std::string source{};
  };
  std::vector<entry> log;

  std::string read(const log_part& part) const {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < log.size(); ++i) {
      const auto at = static_cast<event_offset>(part.newest_first ? log.size() - 1 - i : i);
      const auto& each = log[static_cast<std::size_t>(at)];
      if (at <= part.after || at >= part.before || each.is_rolled_back || (each.is_deleted && !part.with_deleted) ||
          (part.only_messages && !each.is_message) || (part.source && *part.source != each.source) ||
          found.size() >= part.limit)
        continue;
      found.push_back(std::to_string(at));
    }
    std::string out;
    for (const auto& each : found)
      out += (out.empty() ? "" : " ") + each;
    return out;
  }
  std::int64_t hidden(event_offset through) const {
    return std::count_if(log.begin(), log.begin() + through + 1,
                         [](const entry& each) { return each.is_message && (each.is_rolled_back || each.is_deleted); });
  }
};

} // namespace

TEST_CASE("ranges of deleted events that overlap or touch are one, and tell how many messages they hide") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  store.commit({making(key), log.messages(10), log.status("s"), log.messages(5)});
  store.commit({deleting(key, {{2, 3}})});
  CHECK(ranges_of(store, key) == "2-3:2");
  store.commit({deleting(key, {{6, 6}}), deleting(key, {{6, 6}, {8, 8}})});
  CHECK(ranges_of(store, key) == "2-3:2 6-6:1 8-8:1");
  store.commit({deleting(key, {{4, 5}})});
  CHECK(ranges_of(store, key) == "2-6:5 8-8:1");
  store.commit({deleting(key, {{10, 10}, {12, 15}})});
  CHECK(ranges_of(store, key) == "2-6:5 8-8:1 10-10:0 12-15:4");
  store.commit({deleting(key, {{3, 13}})});
  CHECK(ranges_of(store, key) == "2-15:13");
  CHECK(store.read_log(view_of(key)) == "0 1");
  CHECK(store.read(key).has_deleted);
}

TEST_CASE("what a session shows, and counts as hidden, is what a simple model does, in forks too") {
  const auto seed = std::random_device{}();
  std::cout << "deleted events: seed " << seed << '\n';
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto roll = [&](int sides) { return std::uniform_int_distribution<int>{0, sides - 1}(random); };
  session_store store;
  for (int history = 0; history < 15; ++history) {
    const auto root = new_key();
    store.commit({making(root)});
    struct line {
      session_key key;
      log_maker log;
      model shows;
      bool is_fork;
    };
    std::vector<line> all{{root, log_maker(root), {}, false}};
    std::int64_t turns = 0;
    const auto append = [&](line& to) {
      const bool in_turn = roll(3) == 0;
      auto turn = turn_of(++turns, turn_status::rolled_back);
      turn.first_offset = to.log.next();
      turn.ended_at = turn.started_at;
      std::vector<event> events;
      for (int count = 1 + roll(roll(4) == 0 ? 150 : 6); count > 0; --count) {
        const bool is_message = roll(2) == 0;
        const bool is_its = in_turn && roll(2) == 0;
        auto entry = to.log.make(is_message ? event_kind::message : event_kind::custom, std::to_string(to.log.next()),
                                 is_its ? turn.id : turn_id{});
        entry.source = roll(2) == 0 ? "customer" : "";
        turn.messages += is_its && is_message ? 1 : 0;
        to.shows.log.push_back({is_message, is_its, false, entry.source});
        events.push_back(std::move(entry));
      }
      auto write = write_to(to.key);
      write->events = std::make_shared<const std::vector<event>>(std::move(events));
      if (in_turn)
        write->turns = {turn};
      store.commit({write});
    };
    append(all.front());
    for (int step = 0; step < 25; ++step) {
      auto& at = all[static_cast<std::size_t>(roll(static_cast<int>(all.size())))];
      const auto size = static_cast<int>(at.shows.log.size());
      switch (roll(4)) {
      case 0:
        append(at);
        break;
      case 1:
        if (all.size() < 4) {
          const auto offset = roll(size);
          const auto point =
              decode_fork_point(store.run(find_fork_point(session_store::source_of(at.key, at.is_fork), offset)));
          REQUIRE(point);
          auto record = record_of(new_key());
          record.parent = at.key.id;
          record.fork_offset = offset;
          auto write = making(record);
          write->parent = *point;
          store.commit({write});
          auto shows = at.shows;
          shows.log.resize(static_cast<std::size_t>(offset) + 1);
          all.push_back({record.key, log_maker(record.key, offset + 1, point->messages), std::move(shows), true});
        }
        break;
      default: {
        const auto first = roll(size);
        const auto last = std::min(size - 1, first + (roll(3) == 0 ? roll(200) : roll(4)));
        store.commit({deleting(at.key, {{first, last}})});
        for (auto i = first; i <= last; ++i)
          at.shows.log[static_cast<std::size_t>(i)].is_deleted = true;
      }
      }
    }
    for (const auto& each : all) {
      const auto source = view_of(each.key, each.is_fork);
      for (int reads = 0; reads < 12; ++reads) {
        const auto size = static_cast<int>(each.shows.log.size());
        log_part part;
        part.after = roll(size + 1) - 1;
        part.before = roll(2) == 0 ? size : roll(size + 1);
        part.limit = static_cast<std::size_t>(1 + roll(50));
        part.newest_first = roll(2) == 0;
        part.only_messages = roll(2) == 0;
        part.with_deleted = roll(3) == 0;
        if (roll(3) == 0)
          part.source = "customer";
        INFO("history " << history << " after " << part.after << " before " << part.before);
        CHECK(store.read_log(source, part) == each.shows.read(part));
        const auto through = roll(size);
        CHECK(hidden(store, source, through) == each.shows.hidden(through));
      }
    }
  }
}

TEST_CASE("a page is cut by its bytes behind the filter, and says what of it was deleted") {
  session_store store;
  const auto key = new_key();
  log_maker log(key);
  store.commit({making(key), log.messages(6), deleting(key, {{1, 1}, {4, 4}})});
  log_part part;
  part.with_deleted = true;
  part.bytes_max = 3;
  const auto outcome = store.run(read_log(view_of(key), part));
  const auto found = decode_log(outcome);
  REQUIRE(found);
  CHECK(found->size() == 3);
  CHECK(decode_deleted_offsets(outcome) == std::vector<event_offset>{1});
  part.with_deleted = false;
  CHECK(store.read_log(view_of(key), part) == "0 2 3");
  part.newest_first = true;
  CHECK(store.read_log(view_of(key), part) == "5 3 2");
}

TEST_CASE("labels, mode and consumption offsets are kept as they are, and labels are found by") {
  session_store store;
  auto record = record_of(new_key());
  record.labels = {"a,b", "quote \" and \\ back", "{x}", "\xC3\xA4"};
  record.mode = session_mode::manual;
  record.consumption_offsets = {{"a \"b\"\n\\", 3}, {"ui", limits::consumption_offset_max}};
  store.commit({making(record)});
  auto back = store.read(record.key).record;
  CHECK(back.labels == record.labels);
  CHECK(back.mode == session_mode::manual);
  CHECK(back.consumption_offsets == record.consumption_offsets);
  const auto labels = [&] { return store.count("session_labels", "true"); };
  CHECK(labels() == "4");
  record.labels = {"a,b", "new"};
  record.mode = session_mode::automatic;
  record.consumption_offsets.clear();
  auto change = write_to(record.key);
  change->changed = std::make_shared<const session_record>(record);
  store.commit({change});
  back = store.read(record.key).record;
  CHECK(back.labels == record.labels);
  CHECK(back.mode == session_mode::automatic);
  CHECK(back.consumption_offsets.empty());
  CHECK(labels() == "2");
  auto end = write_to(record.key);
  end->erases = true;
  store.commit({deleting(record.key, {}), end});
  CHECK(labels() == "0");
}
