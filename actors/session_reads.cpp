// What there is: histories and events, from memory as far as that goes back, else from the database. See session.hpp.
#include "actors/session_history.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_filtered_reads.hpp"
#include "db/session_queries.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

std::optional<error> check_limit(std::size_t limit) {
  if (limit >= 1 && limit <= limits::page_events_max)
    return std::nullopt;
  return error{error_code::invalid_request, "limit is " + std::to_string(limit) + "; 1 to " +
                                                std::to_string(limits::page_events_max) + " is allowed"};
}

std::size_t bytes_of(const std::vector<event>& events) {
  std::size_t bytes = 0;
  for (const auto& entry : events)
    bytes += entry.data.size();
  return bytes;
}

// A later one is behind the end of every log; the next to it can still be counted.
constexpr event_offset offset_max = std::numeric_limits<event_offset>::max() - 1;

const db::db_failure ended{db::failure_kind::wait, "", "the session's actor ended; ask again"};

} // namespace

/// What is to be said to whoever waits for something outside of this actor, should that end first.
std::uint64_t session::at_end(std::function<void(const error&)> say) {
  auto& work = doing();
  work.at_end.emplace(++work.last_at_end, std::move(say));
  return work.last_at_end;
}

void session::ask_database(db::unit query, const char* purpose, std::function<void(const db::unit_outcome&)> then) {
  if (phase_ == phase::failed)
    return then({{}, ended});
  ++doing().reads_under_way;
  const auto number = at_end([then](const error&) { then({{}, ended}); });
  run_unit unit{std::move(query)};
  unit.tenant = key_.tenant.text();
  unit.purpose = purpose;
  unit.deadline = clock().now() + environment_->request_timeout;
  unit.idempotent = true;
  request(environment_->supervisor, environment_->request_timeout + pool_answer_margin, std::move(unit))
      .then(
          [this, number, then](const db::unit_outcome& outcome) {
            --doing().reads_under_way;
            doing().at_end.erase(number);
            then(outcome);
          },
          [this, number, then](const caf::error&) {
            --doing().reads_under_way;
            doing().at_end.erase(number);
            then({{}, db::db_failure{db::failure_kind::wait, "57014", "no answer within the time allowed"}});
          });
}

db::log_source session::source() const {
  return {key_.tenant, known_->record.log, known_->record.fork_offset.has_value(), key_.id, known_->has_deleted};
}

event_offset session::in_memory(event_blocks& blocks, event_offset wanted) const {
  auto from = known_->record.next_offset;
  auto tail = environment_->tails->read(known_->record.log, wanted);
  if (tail && tail->next == from && !tail->blocks.empty()) {
    blocks = std::move(tail->blocks);
    from = blocks.front()->front().offset;
  }
  if (!doing_)
    return from;
  // What is not durable is in memory in any case.
  event_blocks older;
  for (auto at = doing_->undurable.rbegin(); at != doing_->undurable.rend(); ++at)
    if ((*at)->events && (*at)->events->front().offset < from) {
      older.push_back((*at)->events);
      from = (*at)->events->front().offset;
    }
  blocks.insert(blocks.begin(), older.rbegin(), older.rend());
  return from;
}

bool session::is_hidden(const event& entry) const {
  return is_rolled_back(entry) || is_deleted(entry.offset);
}

bool session::is_rolled_back(const event& entry) const {
  return doing_ && !entry.turn.is_nil() &&
         std::find(doing_->hidden_turns.begin(), doing_->hidden_turns.end(), entry.turn) != doing_->hidden_turns.end();
}

void session::serve(promise_of<get_session>& answer, get_session&, const caf::actor_addr&) {
  extend_life();
  reply(answer, result<session_record>(known_->record));
}

// --- messages --------------------------------------------------------------------------------------------------------

void session::serve(promise_of<read_history>& answer, read_history& request, const caf::actor_addr&) {
  const auto problem = request.token_budget ? check_token_budget(request.token_budget) : check_limit(request.limit);
  if (problem)
    return reply(answer, result<history_page>(*problem));
  extend_life();
  if (!request.token_budget)
    return read_part(answer, request);
  auto reading = std::make_shared<history_reading>();
  reading->token_budget = request.token_budget;
  reading->before = request.before;
  reading->done = [answer](result<history_page> page) mutable { reply(answer, std::move(page)); };
  read_newest(std::move(reading));
}

struct session::page_reading {
  promise_of<read_history> answer;
  history_order order;
  event_offset after;  // moves up, reading upwards
  event_offset before; // moves down, reading downwards
  std::size_t limit;
  history_page page{};

  bool has_all() const { return page.messages.size() >= limit; }
  bool is_full() const { return has_all() || bytes_of(page.messages) >= limits::page_bytes_max; }
  bool is_upwards() const { return order == history_order::ascending; }
  /// False once the page is full.
  bool take(const event& entry) {
    if (has_all())
      return false;
    if (entry.kind == event_kind::message && entry.offset > after && entry.offset < before)
      page.messages.push_back(entry);
    return true;
  }
};

void session::read_part(promise_of<read_history> answer, const read_history& request) {
  page_reading reading{answer, request.order, std::min(request.after.value_or(-1), offset_max),
                       std::min(request.before.value_or(known_->record.next_offset), known_->record.next_offset),
                       request.limit};
  reading.page.messages.reserve(std::min(reading.limit, limits::page_default));
  if (reading.is_upwards())
    return read_upwards(std::make_shared<page_reading>(std::move(reading)));
  const auto take_from_memory = [&](event_offset wanted) {
    event_blocks blocks;
    const auto from = in_memory(blocks, wanted);
    for (auto block = blocks.rbegin(); block != blocks.rend() && !reading.has_all(); ++block)
      for (auto entry = (*block)->rbegin(); entry != (*block)->rend() && !reading.has_all(); ++entry)
        if (!is_hidden(*entry))
          reading.take(*entry);
    reading.before = std::min(reading.before, from);
  };
  // From the end, in growing steps: most events are messages, and going through all that memory has would cost what the
  // log is long, not what is returned.
  const auto end = std::max<event_offset>(reading.before, 0);
  for (auto span = static_cast<event_offset>(reading.limit);; span *= 4) {
    const auto wanted = std::max<event_offset>(end - span, 0);
    take_from_memory(wanted);
    if (reading.has_all() || wanted == 0 || reading.before > wanted) // there is no more in memory
      break;
  }
  read_downwards(std::make_shared<page_reading>(std::move(reading)));
}

/// From the database up to what is in memory, then from there.
void session::read_upwards(std::shared_ptr<page_reading> reading) {
  event_blocks blocks;
  const auto from = in_memory(blocks);
  if (reading->after + 1 >= std::min(from, reading->before) || reading->has_all()) {
    for (const auto& block : blocks)
      for (const auto& entry : *block)
        if (!is_hidden(entry))
          reading->take(entry);
    return finish_page(*reading);
  }
  db::log_part part;
  part.after = reading->after;
  part.before = std::min(from, reading->before);
  part.limit = reading->limit - reading->page.messages.size();
  part.only_messages = true;
  ask_database(db::read_log(source(), part), "read_log", [this, reading, part](const db::unit_outcome& outcome) {
    auto found = db::decode_log(outcome);
    if (!found)
      return reply(reading->answer, result<history_page>(found.failure()));
    const bool is_cut = found->size() >= part.limit || bytes_of(*found) >= part.bytes_max;
    for (auto& entry : *found)
      if (!is_hidden(entry))
        reading->take(entry);
    if (is_cut && reading->is_full())
      return finish_page(*reading);
    reading->after = is_cut ? found->back().offset : part.before - 1;
    read_upwards(reading);
  });
}

void session::read_downwards(std::shared_ptr<page_reading> reading) {
  if (reading->before <= reading->after + 1 || reading->has_all())
    return finish_page(*reading);
  db::log_part part;
  part.after = reading->after;
  part.before = reading->before;
  part.limit = reading->limit - reading->page.messages.size();
  part.newest_first = true;
  part.only_messages = true;
  ask_database(db::read_log(source(), part), "read_log", [this, reading, part](const db::unit_outcome& outcome) {
    auto found = db::decode_log(outcome);
    if (!found)
      return reply(reading->answer, result<history_page>(found.failure()));
    const bool is_cut = found->size() >= part.limit || bytes_of(*found) >= part.bytes_max;
    for (auto& entry : *found)
      if (!is_hidden(entry))
        reading->take(entry);
    if (!is_cut || reading->is_full())
      return finish_page(*reading);
    reading->before = found->back().offset;
    read_downwards(reading);
  });
}

/// Whether there is more is told from the messages' own numbers. What is hidden counts too, so that a last page may be
/// empty.
void session::finish_page(page_reading& reading) {
  auto& page = reading.page;
  if (!page.messages.empty()) {
    const auto& last = page.messages.back();
    page.next = last.offset;
    page.has_more = reading.is_full() &&
                    (reading.is_upwards() ? last.messages < known_->messages && last.offset + 1 < reading.before
                                          : last.messages > 1 && last.offset > reading.after + 1);
  }
  reply(reading.answer, result<history_page>(std::move(page)));
}

// --- durable events --------------------------------------------------------------------------------------------------

void session::serve(promise_of<read_events>& answer, read_events& request, const caf::actor_addr&) {
  auto problem = check_limit(request.limit);
  if (!problem && (request.wait < 0s || request.wait > limits::events_wait_max))
    problem = error{error_code::invalid_request, "wait is " + std::to_string(request.wait.count()) + " s; 0 to " +
                                                     std::to_string(limits::events_wait_max.count()) + " is allowed"};
  if (!problem && request.with_deleted && why_not(access::owns, request.as_user))
    problem = error{error_code::forbidden, "only the session's owner may see deleted events"};
  if (problem)
    return reply(answer, result<event_page>(*problem));
  extend_life();
  request.after = std::min(request.after, offset_max);
  if (request.wait > 0s && doing().readers.size() >= limits::durable_waiters_per_session_max)
    return reply(answer,
                 result<event_page>(error{error_code::overloaded, "too many wait for this session's events", 100ms}));
  const bool is_over = request.even_expired && is_overdue(); // nothing more will come
  const auto deadline = clock().now() + (is_over ? 0s : request.wait);
  read_or_wait({answer, std::move(request), deadline});
}

void session::read_or_wait(waiting_reader reader) {
  const auto now = clock().now();
  if (reader.request.after >= known_->record.durable_offset && reader.deadline > now) {
    schedule_tick(reader.deadline);
    return doing().readers.push_back(std::move(reader));
  }
  const auto wanted = reader.request;
  auto then = [this, reader = std::move(reader)](result<event_page> page) mutable {
    const bool is_all_hidden = page && page->events.empty() && reader.deadline > clock().now();
    if (!is_all_hidden || phase_ != phase::awake)
      return reply(reader.answer, std::move(page));
    auto problem = why_not_now(access::reads, reader.request.as_user); // it may have changed meanwhile
    if (problem && !(reader.request.even_expired && problem->code == error_code::session_expired))
      return reply(reader.answer, result<event_page>(*problem));
    reader.request.after = page->read_through;
    read_or_wait(std::move(reader));
  };
  if (!wanted.has_filter() && !wanted.with_deleted)
    return read_durable(wanted.after, wanted.limit, std::move(then), wanted.from_database);
  const auto until = now + environment_->request_timeout / 2;
  read_filtered(std::make_shared<filtered_reading>(filtered_reading{wanted, until, std::move(then)}));
}

void session::refuse_readers(const error& why) {
  for (auto& reader : std::exchange(doing_->readers, {}))
    reply(reader.answer, result<event_page>(why));
}

/// Those for whom there is something now, and those whose time is up.
void session::answer_readers() {
  if (doing_->readers.empty())
    return;
  auto waiting = std::exchange(doing_->readers, {});
  for (auto& each : waiting)
    read_or_wait(std::move(each));
}

void session::read_durable(event_offset after, std::size_t limit, std::function<void(result<event_page>)> then,
                           bool from_database) {
  const auto durable = known_->record.durable_offset;
  event_blocks blocks;
  const auto from = in_memory(blocks, after + 1);
  event_page page;
  page.read_through = std::max(after, durable);
  if (after >= durable)
    return then(std::move(page));
  if (after + 1 >= from && !from_database) {
    std::size_t bytes = 0;
    for (const auto& block : blocks)
      for (const auto& entry : *block) {
        if (entry.offset <= after || entry.offset > durable || is_hidden(entry))
          continue;
        if (page.events.size() >= limit || bytes >= limits::page_bytes_max) {
          page.read_through = page.events.back().offset;
          return then(std::move(page));
        }
        bytes += entry.data.size();
        page.events.push_back(entry);
      }
    return then(std::move(page));
  }
  db::log_part part;
  part.after = after;
  part.before = durable + 1;
  part.limit = limit;
  ask_database(db::read_log(source(), part), "read_log", [this, part, durable, then](const db::unit_outcome& outcome) {
    auto found = db::decode_log(outcome);
    if (!found)
      return then(found.failure());
    event_page read;
    read.events = std::move(found).value();
    const bool is_cut = read.events.size() >= part.limit || bytes_of(read.events) >= part.bytes_max;
    read.read_through = is_cut ? read.events.back().offset : durable;
    std::erase_if(read.events, [this](const event& entry) { return is_hidden(entry); });
    then(std::move(read));
  });
}

} // namespace colloquy::actors
