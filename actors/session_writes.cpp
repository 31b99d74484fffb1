// How a session writes: offsets, waiting until it is durable, and what becomes of it. See session.hpp for the rules.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_status.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto overload_retry = 20ms;

} // namespace

std::optional<error> session::why_not_writable() const {
  if (known_->record.status != session_status::active)
    return error{error_code::session_not_active,
                 "the session is " + std::string(to_string(known_->record.status)) + "; it takes no writes"};
  return std::nullopt;
}

/// The reservation under which the events may be taken: the one given if it is large enough, else one of its own.
result<std::shared_ptr<const byte_reservation>> session::admit(const std::vector<event_input>& events,
                                                               const std::shared_ptr<const byte_reservation>& given,
                                                               std::size_t own_bytes, bool is_import) const {
  if (auto problem = why_not_writable())
    return *problem;
  if (events.size() > limits::events_per_append_max)
    return error{error_code::invalid_request, std::to_string(events.size()) + " events in one append; at most " +
                                                  std::to_string(limits::events_per_append_max) + " are allowed"};
  std::size_t bytes = own_bytes;
  for (const auto& input : events) {
    if (auto problem = check_event(input))
      return *problem;
    if (input.kind == event_kind::status && !is_import)
      return error{error_code::invalid_request, "events of kind \"status\" are the session's own"};
    bytes += input.cost_bytes();
  }
  if (bytes > append_bytes_max)
    return error{error_code::payload_too_large, "an append of " + std::to_string(bytes) + " bytes; at most " +
                                                    std::to_string(append_bytes_max) + " are allowed"};
  if (bytes > environment_->session_undurable_bytes_max)
    return error{error_code::payload_too_large, "an append of " + std::to_string(bytes) + " bytes; at most " +
                                                    std::to_string(environment_->session_undurable_bytes_max) +
                                                    " are allowed to be undurable in a session"};
  return reserve(bytes, given);
}

/// Within the bounds of the session, of its tenant and of all; unless the one given has them already.
result<std::shared_ptr<const byte_reservation>>
session::reserve(std::size_t bytes, const std::shared_ptr<const byte_reservation>& given) const {
  if (doing_ && doing_->undurable_bytes + bytes > environment_->session_undurable_bytes_max)
    return error{error_code::overloaded, "too much of this session is accepted and not yet durable", overload_retry};
  if (given && given->is_of(tenant_->undurable.get()) && given->bytes() >= bytes)
    return given;
  auto of_all = given && given->bytes() >= bytes ? given : byte_reservation::take(environment_->budget, bytes);
  if (!of_all)
    return error{error_code::overloaded, "too much is accepted and not yet durable", overload_retry};
  auto reserved = byte_reservation::take(tenant_->undurable, bytes, std::move(of_all));
  if (!reserved)
    return error{error_code::overloaded, "too much of this tenant is accepted and not yet durable", overload_retry};
  return reserved;
}

/// For what must be written whatever the bounds say.
std::shared_ptr<const byte_reservation> session::reserve_if_possible(std::size_t bytes) const {
  auto reserved = reserve(bytes);
  return reserved ? std::move(reserved).value() : nullptr;
}

session::draft session::new_draft(std::shared_ptr<const byte_reservation> reservation) {
  draft made;
  made.write = std::make_shared<db::session_write>();
  made.write->session = key_;
  made.write->log = known_->record.log;
  made.write->number = ++last_number_;
  made.write->keeps = std::move(reservation);
  return made;
}

void session::add_event(draft& to, event_input&& input, turn_id turn) {
  event entry{std::move(input)};
  entry.offset = known_->record.next_offset++;
  entry.created_at = environment_->now();
  entry.turn = turn;
  if (entry.kind == event_kind::message)
    ++known_->messages;
  entry.messages = known_->messages;
  if (is_running(turn) && entry.kind == event_kind::message)
    ++known_->last_turn->messages;
  to.write->bytes += entry.cost_bytes();
  to.events.push_back(std::move(entry));
}

void session::add_events(draft& to, std::vector<event_input>& events, turn_id turn,
                         const std::optional<std::string>& author) {
  to.events.reserve(to.events.size() + events.size() + 1);
  for (auto& input : events) {
    if (author)
      input.author = *author;
    add_event(to, std::move(input), turn);
  }
}

void session::add_status(draft& to, std::string data, turn_id turn, const std::string& trace_id) {
  event_input status;
  status.kind = event_kind::status;
  status.data = std::move(data);
  status.trace_id = trace_id;
  add_event(to, std::move(status), turn);
}

void session::add_turn(draft& to, const db::turn_row& turn, const std::string& reason) {
  // What a rolled-back turn wrote is hidden; that it was rolled back is not.
  const auto of = turn.status == turn_status::rolled_back ? turn_id{} : turn.id;
  add_status(to, turn_status_json(turn, reason), of, turn.trace_id);
  to.write->turns.push_back(turn);
}

std::uint64_t session::send_draft(draft&& finished) {
  auto& write = *finished.write;
  if (!finished.events.empty()) {
    auto block = std::make_shared<const std::vector<event>>(std::move(finished.events));
    environment_->tails->append(write.log, block);
    if (doing().granting)
      doing().granting->since.push_back(block);
    write.events = std::move(block);
  }
  const auto number = write.number;
  send_write(std::move(finished.write));
  return number;
}

void session::send_write(db::session_write_ptr write) {
  auto& work = doing();
  work.undurable_bytes += write->bytes;
  work.undurable.push_back(write);
  if (environment_->journal)
    send(environment_->journal, journal_write{write, caf::actor_cast<write_listener>(this)});
  send(writer_, persist{std::move(write), caf::actor_cast<write_listener>(this)});
}

/// Each use may push the expiry away. It is written down when it has moved by a twentieth, so that a busy session does
/// not write its row each time.
void session::extend_life() {
  auto& record = known_->record;
  if (is_closing_ || !environment_->sliding_expiry || !record.expires_in || !record.expires_at ||
      phase_ != phase::awake || is_overdue()) // what has expired stays so, though an export reads it
    return;
  const auto wanted = environment_->now() + *record.expires_in;
  if (wanted - *record.expires_at < *record.expires_in / 20)
    return;
  auto reservation = reserve(limits::event_overhead_bytes);
  if (!reservation)
    return; // the next use will
  record.expires_at = wanted;
  auto writing = new_draft(std::move(reservation).value());
  writing.write->changed = std::make_shared<const session_record>(record);
  writing.write->bytes = limits::event_overhead_bytes;
  send_draft(std::move(writing));
}

// --- waiting ---------------------------------------------------------------------------------------------------------

void session::when_durable(std::uint64_t number, std::function<void(const error*)> then,
                           std::variant<error, appended> when_late) {
  const auto deadline = clock().now() + environment_->request_timeout;
  auto& waiters = doing().durable_waiters;
  const auto behind = std::find_if(waiters.rbegin(), waiters.rend(),
                                   [number](const write_waiter& other) { return other.number <= number; });
  waiters.insert(behind.base(), {number, std::move(then), deadline, std::move(when_late)});
  schedule_tick(deadline);
}

/// At once; or, with a journal, when that has it.
void session::when_accepted(std::uint64_t number, std::function<void(const error*)> then) {
  const bool is_durable = !doing_ || doing_->undurable.empty() || doing_->undurable.front()->number > number;
  if (!environment_->journal || is_durable || number <= doing_->journaled_through)
    return then(nullptr);
  const auto deadline = clock().now() + environment_->request_timeout;
  doing().journaled_waiters.push_back(
      {number, std::move(then), deadline,
       error{error_code::deadline_exceeded, "the journal did not have it within the time allowed; it stays accepted"}});
  schedule_tick(deadline);
}

/// For a request that comes again: a later write than its own does as well. What it asks for reserved its bytes the
/// first time, so that repeats have a bound of their own.
void session::when_accepted_again(std::function<void(const error*)> then) {
  if (doing_ && doing_->journaled_waiters.size() >= limits::durable_waiters_per_session_max) {
    const error full{error_code::overloaded, "too many wait for the journal of this session", overload_retry};
    return then(&full);
  }
  when_accepted(last_number_, std::move(then));
}

void session::answer_waiters(std::deque<write_waiter>& waiters, std::uint64_t through, const error* problem) {
  std::vector<write_waiter> over;
  while (!waiters.empty() && waiters.front().number <= through) {
    over.push_back(std::move(waiters.front()));
    waiters.pop_front();
  }
  for (auto& each : over) // they may wait for more
    each.done(problem);
}

void session::expire_waiters(std::deque<write_waiter>& waiters, time_point now) {
  std::vector<write_waiter> late;
  for (auto at = waiters.begin(); at != waiters.end();) {
    if (at->deadline <= now) {
      late.push_back(std::move(*at));
      at = waiters.erase(at);
    } else {
      ++at;
    }
  }
  for (auto& each : late) {
    const auto why = each.late_error();
    each.done(&why);
  }
}

void session::on_written(std::uint64_t through) {
  if (!doing_)
    return;
  event_blocks news;
  std::vector<event_range> deleted;
  while (!doing_->undurable.empty() && doing_->undurable.front()->number <= through) {
    const auto& write = *doing_->undurable.front();
    doing_->undurable_bytes -= write.bytes;
    if (write.events) {
      known_->record.durable_offset = write.events->back().offset;
      news.push_back(write.events);
    }
    deleted.insert(deleted.end(), write.deleted.begin(), write.deleted.end());
    doing_->undurable.pop_front();
  }
  if (environment_->journal)
    send(environment_->journal, journal_durable{key_, through});
  if (phase_ == phase::making)
    wake_up(false);
  answer_waiters(doing().journaled_waiters, through, nullptr); // better than on disk here
  answer_waiters(doing().durable_waiters, through, nullptr);
  if (!news.empty()) {
    feed(news);
    answer_readers();
  }
  if (!deleted.empty())
    tell_deleted(deleted);
}

void session::take(journaled& news) {
  if (!doing_)
    return;
  doing_->journaled_through = news.through_number;
  answer_waiters(doing_->journaled_waiters, news.through_number, nullptr);
}

/// The events stay accepted, and become durable as without a journal; only what the answer would promise is not so.
void session::take(journal_refused& refusal) {
  if (!doing_)
    return;
  std::vector<write_waiter> refused;
  for (auto at = doing_->journaled_waiters.begin(); at != doing_->journaled_waiters.end();) {
    if (at->number >= refusal.number) {
      refused.push_back(std::move(*at));
      at = doing_->journaled_waiters.erase(at);
    } else {
      ++at;
    }
  }
  for (auto& each : refused)
    when_durable(each.number, std::move(each.done), std::move(each.when_late));
}

void session::take(resend_undurable& request) {
  auto answer = make_response_promise<resent>();
  if (writer_ != request.writer) { // else it was started after that writer was; it has everything already
    writer_ = request.writer;
    if (phase_ != phase::failed && doing_) // it would only be refused again
      for (const auto& write : doing_->undurable)
        send(writer_, persist{write, caf::actor_cast<write_listener>(this)});
  }
  reply(answer, resent{});
}

void session::take(tell_undurable&) {
  auto answer = make_response_promise<undurable_left>();
  undurable_left left{key_};
  if (doing_)
    for (const auto& write : doing_->undurable) {
      if (write->events && left.events == 0)
        left.first_offset = write->events->front().offset;
      left.events += write->event_count();
    }
  reply(answer, left);
}

// --- appending -------------------------------------------------------------------------------------------------------

void session::serve(promise_of<append_events>& answer, append_events& request, const caf::actor_addr&) {
  if (!request.repeat)
    return append(answer, request);
  const auto repeat = *request.repeat;
  const requester by{access::writes, request.as_user};
  recall("append", repeat, by, [this, answer, held = std::move(request)](recalled found) mutable {
    if (!found)
      return reply(answer, result<appended>(found.failure()));
    if (!*found)
      return append(answer, held);
    const auto& known = **found;
    const appended first{known.first_offset, static_cast<std::size_t>(known.count), held.wanted};
    if (known.first_offset + known.count - 1 <= known_->record.durable_offset)
      return reply(answer, result<appended>(first));
    if (first.reached == durability::durable)
      return answer_append(answer, first, last_number_); // a later write than its own does as well
    when_accepted_again([answer, first](const error* problem) mutable {
      reply(answer, problem ? result<appended>(*problem) : result<appended>(first));
    });
  });
}

/// When it is what was asked for.
void session::answer_append(promise_of<append_events> answer, const appended& reached, std::uint64_t number) {
  const auto give = [answer, reached](const error* problem) mutable {
    reply(answer, problem ? result<appended>(*problem) : result<appended>(reached));
  };
  if (reached.reached == durability::accepted)
    return when_accepted(number, give);
  if (doing().durable_waiters.size() < limits::durable_waiters_per_session_max)
    return when_durable(number, give, reached);
  reply(answer,
        result<appended>(error{error_code::overloaded, "too many wait for this session's durability", overload_retry}));
}

std::optional<error> session::why_not_appended(const append_events& request) const {
  if (auto problem = why_not_writable())
    return problem;
  if (request.turn && !is_running(*request.turn))
    return error{error_code::turn_lost, "the turn does not run any more"};
  if (request.events.empty())
    return error{error_code::invalid_request, "an append has at least one event"};
  return request.imported ? why_not_imported(request) : std::nullopt;
}

void session::append(promise_of<append_events>& answer, append_events& request) {
  const auto refuse = [&](error why) { reply(answer, result<appended>(std::move(why))); };
  if (auto problem = why_not_appended(request))
    return refuse(*problem);
  const auto turns_bytes = request.imported ? request.imported->ended_turns.size() * limits::event_overhead_bytes : 0;
  auto reservation = admit(request.events, request.reservation, turns_bytes, request.imported != nullptr);
  if (!reservation)
    return refuse(reservation.failure());
  if (request.wanted == durability::durable &&
      doing().durable_waiters.size() >= limits::durable_waiters_per_session_max)
    return refuse({error_code::overloaded, "too many wait for this session's durability", overload_retry});

  const appended reached{known_->record.next_offset, request.events.size(), request.wanted};
  const bool has_message = std::any_of(request.events.begin(), request.events.end(),
                                       [](const auto& input) { return input.kind == event_kind::message; });
  auto writing = new_draft(std::move(reservation).value());
  if (request.imported)
    add_imported(writing, request);
  else
    add_events(writing, request.events, request.turn.value_or(turn_id{}), request.as_user);
  if (request.repeat) {
    auto key = new_key("append", *request.repeat);
    key.first_offset = reached.first_offset;
    key.count = static_cast<std::int64_t>(reached.count);
    remember(writing, std::move(key));
  }
  if (request.turn && has_message)
    forget_deltas(); // it has come, what they were parts of
  const auto number = send_draft(std::move(writing));
  extend_life();
  answer_append(answer, reached, number);
}

} // namespace colloquy::actors
