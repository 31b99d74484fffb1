// Pages of sessions and sums over them, against a real server.
#include "db/analytics_queries.hpp"
#include "tests/db/session_store.hpp"

#include <algorithm>
#include <random>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

const timestamp start = record_of(new_key()).created_at;

session_page page_of(session_store& store, const list_sessions& wanted, timestamp now) {
  auto query = list_sessions_page(wanted, now);
  REQUIRE(query);
  auto page = decode_session_page(wanted, now, store.run(*query));
  if (!page)
    FAIL(page.failure().message);
  return std::move(page).value();
}

/// All pages of that size, one after the other.
std::vector<session_record> all_pages(session_store& store, list_sessions wanted, timestamp now) {
  std::vector<session_record> all;
  for (int pages = 0; pages < 1000; ++pages) {
    auto page = page_of(store, wanted, now);
    CHECK(page.sessions.size() <= wanted.limit);
    all.insert(all.end(), page.sessions.begin(), page.sessions.end());
    if (page.next_cursor.empty())
      return all;
    CHECK(page.sessions.size() == wanted.limit);
    wanted.cursor = page.next_cursor;
  }
  FAIL("the pages do not end");
  return all;
}

std::string name_of(const session_record& record) {
  return record.title.value_or("?");
}

} // namespace

TEST_CASE("pages of sessions are what a filter of all of them gives, whatever is asked for and however they are cut") {
  session_store store;
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const auto one_of = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto now = start + 10h;
  std::vector<session_record> all;
  std::vector<session_write_ptr> writes;
  for (int i = 0; i < 150; ++i) {
    auto record = record_of(new_key(one_of(4) == 0 ? "other" : "acme"));
    record.title = std::to_string(i);
    record.user_id = one_of(2) == 0 ? "ada" : "bob";
    if (one_of(3) != 0)
      record.agent_id = one_of(2) == 0 ? "x" : "y";
    record.created_at = start + std::chrono::minutes{one_of(60)}; // some at the same time
    for (const std::string label : {"a", "b", "c"})
      if (one_of(2) == 0)
        record.labels.push_back(label);
    if (one_of(3) != 0)
      record.expires_at = now + std::chrono::minutes{one_of(120)} - 1h;
    writes.push_back(making(record));
    record.status = static_cast<session_status>(one_of(4));
    auto change = write_to(record.key);
    change->changed = std::make_shared<const session_record>(record);
    writes.push_back(change);
    all.push_back(record);
  }
  store.commit(writes);
  const auto seen = [&](const session_record& record) {
    return record.expires_at && *record.expires_at <= now ? session_status::expired : record.status;
  };
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.created_at, a.key.id) > std::tuple(b.created_at, b.key.id);
  });
  using maybe = std::optional<std::string>;
  for (const maybe& user : {maybe{}, maybe{"ada"}, maybe{"nobody"}})
    for (const maybe& agent : {maybe{}, maybe{"x"}})
      for (int status = -1; status < 4; ++status) {
        list_sessions wanted;
        wanted.tenant = tenant_id::parse("acme").value();
        wanted.user_id = user;
        wanted.agent_id = agent;
        if (status >= 0)
          wanted.status = static_cast<session_status>(status);
        wanted.limit = 1 + one_of(20);
        for (const std::string label : {"a", "b"})
          if (one_of(3) == 0)
            wanted.labels.push_back(label);
        const auto has_labels = [&](const session_record& record) {
          return std::includes(record.labels.begin(), record.labels.end(), wanted.labels.begin(), wanted.labels.end());
        };
        std::string expected, found;
        for (const auto& record : all)
          if (record.key.tenant == wanted.tenant && (!user || record.user_id == *user) &&
              (!agent || record.agent_id == *agent) && (!wanted.status || seen(record) == *wanted.status) &&
              has_labels(record))
            expected += name_of(record) + " ";
        for (const auto& record : all_pages(store, wanted, now)) {
          found += name_of(record) + " ";
          CHECK((!wanted.status || record.status == *wanted.status));
        }
        INFO(user.value_or("-") << " " << agent.value_or("-") << " " << status << " " << wanted.limit);
        CHECK(found == expected);
      }
}

TEST_CASE("a page shows where each log ends, and a fork's") {
  session_store store;
  const auto root = new_key();
  log_maker log(root);
  store.commit({making(root), log.messages(3)});
  auto record = record_of(new_key());
  record.parent = root.id;
  record.fork_offset = 1;
  record.created_at += 1s;
  auto write = making(record);
  write->parent = log_parent{log_id{root.id.bytes}, 1, 2};
  store.commit({write});
  list_sessions wanted;
  wanted.tenant = root.tenant;
  const auto page = page_of(store, wanted, start);
  REQUIRE(page.sessions.size() == 2);
  CHECK(page.sessions[0].durable_offset == 1);
  CHECK(page.sessions[0].next_offset == 2);
  CHECK(page.sessions[0].parent == root.id);
  CHECK(page.sessions[1].durable_offset == 2);
  CHECK(page.next_cursor.empty());
}

TEST_CASE("a cursor that no page gave is refused, and one of another tenant shows nothing of it") {
  session_store store;
  std::vector<session_write_ptr> writes;
  for (int i = 0; i < 3; ++i)
    writes.push_back(making(new_key()));
  store.commit(writes);
  list_sessions wanted;
  wanted.tenant = tenant_id::parse("acme").value();
  wanted.limit = 1;
  const auto cursor = page_of(store, wanted, start).next_cursor;
  REQUIRE_FALSE(cursor.empty());
  for (const auto& bad :
       {std::string("x"), cursor + "0", cursor.substr(1), "G" + cursor.substr(1), "8" + cursor.substr(1),
        "f" + cursor.substr(1), std::string(52, '0'), std::string(1000, 'a'), cursor.substr(0, 16)}) {
    wanted.cursor = bad;
    const auto refused = list_sessions_page(wanted, start);
    INFO(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.failure().code == error_code::invalid_request);
  }
  wanted.cursor = cursor;
  wanted.tenant = tenant_id::parse("other").value();
  CHECK(page_of(store, wanted, start).sessions.empty());
}

TEST_CASE("analytics add up what a tenant did in a time, by user and agent too") {
  session_store store;
  std::vector<session_write_ptr> writes;
  const auto add = [&](const std::string& tenant, const std::string& user, const std::string& agent,
                       session_status status, std::chrono::hours made_after) {
    auto record = record_of(new_key(tenant));
    record.user_id = user;
    record.agent_id = agent;
    record.created_at = start + made_after;
    writes.push_back(making(record));
    record.status = status;
    if (status == session_status::expired) { // overdue, not marked
      record.status = session_status::paused;
      record.expires_at = start + 1h;
    }
    auto change = write_to(record.key);
    change->changed = std::make_shared<const session_record>(record);
    writes.push_back(change);
    log_maker log(record.key);
    auto said = write_to(record.key);
    std::vector<event> events;
    for (const int hour : {0, 1, 1, 30}) {
      events.push_back(log.make(hour == 30 ? event_kind::status : event_kind::message, "x"));
      events.back().created_at = start + std::chrono::hours{hour} + 5min;
    }
    said->events = std::make_shared<const std::vector<event>>(events);
    int number = 0;
    for (const auto outcome : {turn_status::completed, turn_status::failed, turn_status::lost, turn_status::running}) {
      auto turn = turn_of(++number, outcome);
      turn.started_at = start;
      if (outcome != turn_status::running)
        turn.ended_at = start + std::chrono::minutes{number * number * 20}; // 20, 80, 180 minutes
      if (outcome == turn_status::completed)
        turn.usage = token_usage{10, 3};
      said->turns.push_back(turn);
    }
    writes.push_back(said);
  };
  add("acme", "ada", "x", session_status::active, 0h);
  add("acme", "ada", "y", session_status::completed, 1h);
  add("acme", "bob", "x", session_status::paused, 2h);
  add("acme", "bob", "x", session_status::expired, 3h);
  add("other", "ada", "x", session_status::active, 0h);
  store.commit(writes);
  get_analytics wanted;
  wanted.tenant = tenant_id::parse("acme").value();
  wanted.from = start;
  wanted.to = start + 3h;
  const auto sums_of = [&] {
    auto sums = decode_analytics(wanted, store.run(read_analytics(wanted, start + 5h)));
    if (!sums)
      FAIL(sums.failure().message);
    return *sums;
  };
  auto sums = sums_of();
  CHECK(sums.sessions_active == 1);
  CHECK(sums.sessions_completed == 1);
  CHECK(sums.sessions_paused == 1);
  CHECK(sums.sessions_expired == 0); // made at the end of the time, which is not in it
  CHECK(sums.turns_completed == 4);
  CHECK(sums.turns_failed == 4);
  CHECK(sums.turns_otherwise == 0);
  CHECK(sums.input_tokens == 40);
  CHECK(sums.output_tokens == 12);
  CHECK(sums.turn_time_sum == 400min);
  CHECK(sums.turn_time_median == 50min);
  CHECK(sums.turn_time_max == 80min);
  CHECK(sums.messages == 12);
  REQUIRE(sums.over_time.size() == 2);
  CHECK(sums.over_time[0].from == start);
  CHECK(sums.over_time[0].messages == 4);
  CHECK(sums.over_time[0].turns == 4);
  CHECK(sums.over_time[1].from == start + 1h);
  CHECK(sums.over_time[1].messages == 8);
  CHECK(sums.over_time[1].turns == 4);

  wanted.to = start + 72h;
  sums = sums_of();
  CHECK(sums.sessions_expired == 1);
  CHECK(sums.turns_otherwise == 4);
  REQUIRE(sums.over_time.size() == 1);
  CHECK(sums.over_time[0].from == start); // midnight
  CHECK(sums.over_time[0].turns == 12);

  wanted.user_id = "ada";
  sums = sums_of();
  CHECK(sums.sessions_active == 1);
  CHECK(sums.sessions_expired == 0);
  CHECK(sums.turns_completed == 2);
  CHECK(sums.messages == 6);
  wanted.agent_id = "x";
  CHECK(sums_of().messages == 3);
  wanted.user_id.reset();
  CHECK(sums_of().messages == 9);
  CHECK(sums_of().sessions_expired == 1);

  wanted.agent_id.reset();
  wanted.from = start + 1000h;
  wanted.to = start + 1001h;
  sums = sums_of();
  CHECK(sums.messages == 0);
  CHECK(sums.turn_time_median == 0us);
  CHECK(sums.over_time.empty());
}
