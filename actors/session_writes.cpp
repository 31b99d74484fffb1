// How a session writes: offsets, turns, and what becomes of it.
#include "actors/session.hpp"

#include "actors/session_checks.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto overload_retry = 20ms;

// What a turn's start or end adds of its own.
constexpr std::size_t status_event_bytes = limits::event_overhead_bytes + 128;

/// The data of the status event that a turn's start and end write.
std::string turn_status_json(const turn_record& turn) {
  std::string out =
      R"({"turn":{"id":")" + turn.id.to_string() + R"(","number":)" + std::to_string(turn.number) + R"(,"status":")";
  out.append(to_string(turn.status));
  out.append("\"}}");
  return out;
}

} // namespace

std::optional<error> session::why_not_writable() const {
  if (record_.status == session_status::expired || (record_.expires_at && *record_.expires_at <= environment_->now()))
    return error{error_code::session_expired, "the session has expired"};
  if (record_.status != session_status::active)
    return error{error_code::session_not_active, "the session is " + std::string(to_string(record_.status))};
  return std::nullopt;
}

bool session::is_running(turn_id turn) const {
  return last_turn_ && last_turn_->id == turn && last_turn_->status == turn_status::running;
}

result<std::shared_ptr<const byte_reservation>> session::admit(const std::vector<event_input>& events,
                                                               const std::shared_ptr<const byte_reservation>& given,
                                                               std::size_t own_bytes) const {
  if (auto problem = why_not_writable())
    return *problem;
  if (events.size() > limits::events_per_append_max)
    return error{error_code::invalid_request, std::to_string(events.size()) + " events in one append; at most " +
                                                  std::to_string(limits::events_per_append_max) + " are allowed"};
  std::size_t bytes = own_bytes;
  for (const auto& input : events) {
    if (auto problem = check_event(input))
      return *problem;
    bytes += input.cost_bytes();
  }
  if (bytes > append_bytes_max)
    return error{error_code::payload_too_large, "an append of " + std::to_string(bytes) + " bytes; at most " +
                                                    std::to_string(append_bytes_max) + " are allowed"};
  if (undurable_bytes_ + bytes > environment_->session_undurable_bytes_max)
    return error{error_code::overloaded, "too much of this session is not yet durable", overload_retry};
  if (given && given->bytes() >= bytes)
    return given;
  auto reserved = byte_reservation::take(environment_->budget, bytes);
  if (!reserved)
    return error{error_code::overloaded, "too much is accepted and not yet durable", overload_retry};
  return reserved;
}

void session::do_append(append_promise& answer, append_events& request) {
  if (request.turn && !is_running(*request.turn))
    return reply(answer, error{error_code::turn_lost, "the turn does not run any more"});
  if (request.events.empty())
    return reply(answer, error{error_code::invalid_request, "an append has at least one event"});
  auto reservation = admit(request.events, request.reservation, 0);
  if (!reservation)
    return reply(answer, reservation.failure());
  const bool waits = request.wanted == durability::durable;
  if (waits && durable_waiters_.size() >= limits::durable_waiters_per_session_max)
    return reply(answer, error{error_code::overloaded, "too many wait for this session's durability", overload_retry});

  appended reached{record_.next_offset, request.events.size(), durability::accepted};
  auto write = new_write(std::move(reservation).value());
  add_events(*write, request.events, request.turn.value_or(turn_id{}));
  const auto number = write->number;
  send_write(std::move(write));
  if (!waits)
    return reply(answer, reached);
  reached.reached = durability::durable;
  durable_waiters_.push_back({number, answer, reached, clock().now() + environment_->request_timeout});
  schedule_tick();
}

void session::do_begin_turn(grant_promise& answer, start_turn& request) {
  if (last_turn_ && last_turn_->status == turn_status::running)
    return reply(answer,
                 error{error_code::turn_in_progress, "turn " + std::to_string(last_turn_->number) + " is running"});
  if (auto problem = check_trace_id(request.trace_id))
    return reply(answer, *problem);
  auto reservation = admit(request.events, request.reservation, status_event_bytes);
  if (!reservation)
    return reply(answer, reservation.failure());

  turn_record turn;
  turn.id = turn_id::make();
  turn.number = last_turn_ ? last_turn_->number + 1 : 1;
  turn.trace_id = std::move(request.trace_id);
  turn.started_at = environment_->now();
  auto write = new_write(std::move(reservation).value());
  add_turn(*write, turn);
  add_events(*write, request.events, turn.id);
  last_turn_ = turn;
  send_write(std::move(write));
  reply(answer, granted_turn{std::move(turn), {}});
}

void session::do_finish_turn(turn_promise& answer, end_turn& request) {
  const bool counted = request.outcome == turn_status::completed || request.outcome == turn_status::failed;
  if (!counted && request.outcome != turn_status::cancelled)
    return reply(answer, error{error_code::invalid_request, "a turn ends as completed, failed or cancelled"});
  const auto usage = request.usage.value_or(token_usage{});
  if (auto problem = check_usage(usage, record_.total_tokens))
    return reply(answer, *problem);
  if (last_turn_ && last_turn_->id == request.turn && last_turn_->status == request.outcome)
    return reply(answer, *last_turn_); // asked again
  if (!is_running(request.turn))
    return reply(answer, error{error_code::turn_lost, "the turn does not run any more"});
  auto reservation = admit(request.events, request.reservation, status_event_bytes);
  if (!reservation)
    return reply(answer, reservation.failure());

  auto write = new_write(std::move(reservation).value());
  add_events(*write, request.events, request.turn);
  last_turn_->status = request.outcome;
  last_turn_->ended_at = environment_->now();
  last_turn_->usage = request.usage;
  add_turn(*write, *last_turn_);
  if (counted) {
    write->turns_counted = 1;
    write->tokens_counted = usage.input_tokens + usage.output_tokens;
    record_.turn_count += 1;
    record_.total_tokens += write->tokens_counted;
  }
  send_write(std::move(write));
  reply(answer, *last_turn_);
}

void session::close_lost_turn() {
  last_turn_->status = turn_status::lost;
  last_turn_->ended_at = environment_->now();
  auto write = new_write(nullptr);
  add_turn(*write, *last_turn_);
  send_write(std::move(write));
}

std::shared_ptr<db::session_write> session::new_write(std::shared_ptr<const byte_reservation> reservation) {
  auto write = std::make_shared<db::session_write>();
  write->session = key_;
  write->log = record_.log;
  write->number = ++last_number_;
  write->keeps = std::move(reservation);
  return write;
}

void session::add_event(db::session_write& write, event_input&& input, turn_id turn) {
  write.bytes += input.cost_bytes();
  event entry;
  static_cast<event_input&>(entry) = std::move(input);
  entry.offset = record_.next_offset++;
  entry.created_at = environment_->now();
  entry.turn = turn;
  write.events.push_back(std::move(entry));
}

void session::add_events(db::session_write& write, std::vector<event_input>& events, turn_id turn) {
  write.events.reserve(write.events.size() + events.size() + 1);
  for (auto& input : events)
    add_event(write, std::move(input), turn);
}

void session::add_turn(db::session_write& write, const turn_record& turn) {
  event_input status;
  status.kind = event_kind::status;
  status.data = turn_status_json(turn);
  status.trace_id = turn.trace_id;
  add_event(write, std::move(status), turn.id);
  write.turns.push_back(turn);
}

void session::send_write(std::shared_ptr<db::session_write> write) {
  undurable_bytes_ += write->bytes;
  undurable_.push_back(write);
  send(writer_, persist{std::move(write), caf::actor_cast<write_listener>(this)});
}

void session::on_written(const written& news) {
  while (!undurable_.empty() && undurable_.front()->number <= news.through_number) {
    const auto& write = *undurable_.front();
    undurable_bytes_ -= write.bytes;
    if (!write.events.empty())
      record_.durable_offset = write.events.back().offset;
    undurable_.pop_front();
  }
  if (making_) {
    phase_ = phase::awake;
    std::exchange(making_, std::nullopt)->answer.deliver(result<session_record>(record_));
    run_waiting();
  } else if (phase_ == phase::making) { // its caller has been told that it took too long
    phase_ = phase::awake;
    run_waiting();
  }
  auto still_waiting = std::find_if(durable_waiters_.begin(), durable_waiters_.end(),
                                    [&](const auto& waiter) { return waiter.number > news.through_number; });
  for (auto at = durable_waiters_.begin(); at != still_waiting; ++at)
    at->answer.deliver(result<appended>(at->reached));
  durable_waiters_.erase(durable_waiters_.begin(), still_waiting);
}

resent session::resend(const resend_undurable& request) {
  if (writer_ == request.writer) // started after that writer was; it has everything already
    return {};
  writer_ = request.writer;
  if (phase_ == phase::failed) // it would only be refused again
    return {};
  for (const auto& write : undurable_)
    send(writer_, persist{write, caf::actor_cast<write_listener>(this)});
  return {};
}

} // namespace colloquy::actors
