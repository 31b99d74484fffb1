// How a random history ends: the service gets well, and everything is looked at, in the database and by reading.
#include "tests/actors/model/history.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace colloquy::model {
namespace {

using namespace std::chrono_literals;

constexpr int healing_quarters_max = 200; // of a second: deadlines, waits and delays all end well before that
constexpr int wakes_max = 10;
constexpr auto longest_lease = 6s;

} // namespace

/// Answers whatever is held, and lets time pass until it holds; or says nothing if it never does.
void history::run_until(const std::function<bool()>& holds, int quarters_max) {
  auto& pool = world_.service.pool;
  world_.service.steps.run();
  for (int i = 0; i < quarters_max && !holds(); ++i) {
    while (pool.answer_next() || pool.answer_read())
      world_.service.steps.run();
    world_.service.steps.advance(250ms, 250ms);
    world_.look();
  }
  world_.look();
}

template <class Request>
result<typename Request::reply> history::ask_now(const std::string& what, Request request) {
  auto got = std::make_shared<std::optional<result<typename Request::reply>>>();
  world_.ask(what, std::move(request), [got](const result<typename Request::reply>& answer) { got->emplace(answer); });
  run_until([got] { return got->has_value(); }, healing_quarters_max);
  must(got->has_value(), "never answered: " + what);
  return std::move(**got);
}

bool history::is_gone(std::size_t session) const {
  return !world_.has_row(world_.sessions[session]);
}

void history::heal() {
  auto& pool = world_.service.pool;
  say("heal");
  pool.tell_of_loss();
  pool.is_away = false;
  pool.answers_at_once = pool.reads_at_once = true;
  world_.service.database->failures.clear();
  run_until([this] { return world_.unanswered().empty(); }, healing_quarters_max);
  must(world_.unanswered().empty(),
       "never answered: " + (world_.unanswered().empty() ? std::string() : world_.unanswered().begin()->second));
}

/// Every session is asked for, also those that are to be gone; and whatever turn still runs has its time.
void history::wake_all() {
  for (std::size_t i = 0; i < world_.sessions.size(); ++i) {
    if (is_gone(i)) {
      check_gone(i);
      continue;
    }
    update_session request;
    request.session = world_.sessions[i].key();
    request.status = session_status::active;
    // One that died is only woken behind its writes, which may take longer than somebody was to wait for it before.
    auto answer = ask_now("make " + std::to_string(i) + " active at last", request);
    for (int tries = 0; tries < wakes_max && !answer && answer.failure().retry_after; ++tries) {
      world_.service.steps.advance(1s, 250ms);
      answer = ask_now("make " + std::to_string(i) + " active again", request);
    }
    if (!answer && world_.sessions[i].erase_asked && answer.failure().code == error_code::not_found) {
      run_until([this, i] { return is_gone(i); }, healing_quarters_max); // its erasure was still on the way
      check_gone(i);
      continue;
    }
    must(answer.has_value(), "session " + std::to_string(i) +
                                 " does not come back: " + (answer ? std::string() : answer.failure().message));
  }
  world_.service.steps.advance(longest_lease, 1s);
}

/// Still alive: each takes one more, at the end of its log.
void history::append_last() {
  for (std::size_t i = 0; i < world_.sessions.size(); ++i) {
    if (is_gone(i))
      continue;
    auto& of = world_.sessions[i];
    const auto write = of.new_write(new_texts(1), {}, true);
    send_append({i, write}, durability::durable, {});
    run_until([this] { return world_.unanswered().empty(); }, healing_quarters_max);
    must(of.write(write).is_taken, "a healed session takes nothing more");
    must(*of.write(write).places.begin() + static_cast<event_offset>(of.write(write).data.size()) ==
             static_cast<event_offset>(world_.whole_log(of).size()),
         "the last append is not at the end of its log");
  }
}

void history::catch_up() {
  const auto is_behind = [this](const listener& one) {
    const auto& of = world_.sessions[one.session];
    return !one.is_over && !is_gone(one.session) &&
           one.got.through + 1 < static_cast<event_offset>(world_.whole_log(of).size());
  };
  auto& all = world_.listeners;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].is_over || is_gone(all[i].session))
      continue;
    all[i].is_slow = false;
    if (all[i].is_on)
      world_.take_up(i);
    else
      world_.subscribe(i);
  }
  run_until([&] { return std::none_of(all.begin(), all.end(), is_behind); }, 20);
  for (const auto& one : all)
    must(!is_behind(one), "a listener gets no further than " + std::to_string(one.got.through));
}

// --- looking ---------------------------------------------------------------------------------------------------------

void history::check_all() {
  say("look");
  for (const auto& of : world_.sessions)
    for (const auto turn : reference_session::rolled_back(world_.own_log(of)))
      world_.hidden.insert(turn);
  for (std::size_t i = 0; i < world_.sessions.size(); ++i)
    if (!is_gone(i))
      check_session(i);
  world_.service.steps.run();
  must(world_.unanswered().empty(), "there is still something unanswered");
  must(world_.service.budget->used_bytes() == 0,
       std::to_string(world_.service.budget->used_bytes()) + " bytes of the budget are not given back");
  must(world_.service.pool.leases_kept() == 0, "a lease was kept while another was asked for");
  world_.look();
}

void history::check_session(std::size_t session) {
  auto& of = world_.sessions[session];
  const auto own = world_.own_log(of);
  const auto all = world_.whole_log(of);
  must(!of.erase_answered, "an erased session is there");
  of.learn_stored(own);
  of.check_log(own);
  of.check_turns(own, world_.row_of(of));
  check_pages(session, all, roll(2) == 0);
  check_messages(session, all);
  auto hidden = world_.hidden;
  for (const auto turn : of.perhaps_rolled_back())
    hidden.insert(turn);
  for (const auto& one : world_.listeners)
    if (one.session == session)
      one.got.check(all, hidden, "a listener");
  for (const auto& [of_session, got] : readings_)
    if (of_session == session)
      got.check(all, hidden, "a reader");
}

void history::check_pages(std::size_t session, const lines& all, bool from_database) {
  read_events request;
  request.session = world_.sessions[session].key();
  request.limit = static_cast<std::size_t>(5 + roll(60));
  request.from_database = from_database;
  reading got;
  while (got.through + 1 < static_cast<event_offset>(all.size())) {
    request.after = got.through;
    const auto page = ask_now("read all", request);
    must(page.has_value(), "a healed session cannot be read");
    must(page->read_through > got.through, "a page that leads nowhere");
    for (const auto& entry : page->events)
      got.take({entry.offset, std::string(to_string(entry.kind)), entry.data, entry.turn, entry.created_at});
    got.through = page->read_through;
  }
  got.check(all, world_.hidden, "who reads it all");
  must(std::none_of(got.seen.begin(), got.seen.end(),
                    [this](const line& each) { return world_.hidden.contains(each.turn); }),
       "what was rolled back is shown");
}

void history::check_messages(std::size_t session, const lines& all) {
  texts expected, got;
  for (const auto& each : all)
    if (each.kind == "message" && !world_.hidden.contains(each.turn))
      expected.push_back(each.data);
  read_history request;
  request.session = world_.sessions[session].key();
  request.limit = static_cast<std::size_t>(5 + roll(60));
  for (bool has_more = true; has_more;) {
    const auto page = ask_now("read the history", request);
    must(page.has_value(), "a healed session has no history");
    for (const auto& entry : page->messages)
      got.push_back(entry.data);
    has_more = page->has_more;
    request.after = page->next;
  }
  must(got == expected, "the history has other messages than the log: " + std::to_string(got.size()) + " for " +
                            std::to_string(expected.size()));
  const auto record = ask_now("get", get_session{request.session, {}});
  const auto row = world_.row_of(world_.sessions[session]);
  must(record.has_value() && record->turn_count == row.turn_count && record->total_tokens == row.total_tokens &&
           record->next_offset == static_cast<event_offset>(all.size()) &&
           record->durable_offset + 1 == record->next_offset,
       "the session's own counters are not the database's");
}

/// Nobody finds it; and of its log there is only what forks show.
void history::check_gone(std::size_t session) {
  const auto& of = world_.sessions[session];
  must(is_gone(session), "nobody finds a session, and it is not erased");
  must(of.erase_asked, "a session is gone that nobody has erased");
  const auto answer = ask_now("get what is gone", get_session{of.key(), {}});
  must(!answer && answer.failure().code == error_code::not_found, "an erased session is found");
  if (!of.erase_answered)
    return;
  must(!world_.service.database->tables().erasures.contains(of.key().id.bytes), "erased, and yet not done");
  event_offset shown = -1; // also by a fork that was made although its caller was not told so
  for (const auto& [log, link] : world_.service.database->tables().links)
    if (link.parent == of.key().id.bytes)
      shown = std::max(shown, link.offset);
  for (const auto& each : world_.own_log(of))
    must(each.offset <= shown, "there is more of an erased log than any fork shows");
}

} // namespace colloquy::model
