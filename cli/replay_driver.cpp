#include "cli/replay_driver.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::cli {
namespace {

using namespace std::chrono_literals;

/// Of all conversations in flight, so that few large ones do not take the memory of many small ones.
constexpr std::size_t running_bytes_max = std::size_t{256} << 20;

/// What a turn's start or end writes of its own is reserved with its messages.
constexpr std::size_t turn_bytes = limits::event_overhead_bytes + 256;

/// Reading one line cannot take longer unless the disk is gone.
constexpr auto read_timeout = 60s;

bool is_worth_a_retry(error_code code) {
  return code == error_code::overloaded || code == error_code::database_unavailable;
}

} // namespace

replay_driver::replay_driver(caf::actor_config& config, directory_actor directory, std::shared_ptr<byte_budget> budget,
                             transcript_actor transcripts, replay_plan plan)
  : replay_driver_internal::base(config)
  , directory_(std::move(directory))
  , budget_(std::move(budget))
  , transcripts_(std::move(transcripts))
  , plan_(std::move(plan)) {}

replay_driver::behavior_type replay_driver::make_behavior() {
  return {[this](begin_replay) {
            answer_ = make_response_promise<append_outcome_ptr>();
            last_progress_ = clock().now();
            delayed_send(this, watch_interval, watch_replay{});
            read_next();
            return answer_;
          },
          [this](stop_replay) { stop(); }, [this](retry_slot retry) { advance(retry.slot); },
          [this](retry_flush) { send_flush(); }, [this](watch_replay) { watch(); }};
}

void replay_driver::on_exit() {
  answer();
  directory_ = nullptr;
  transcripts_ = nullptr;
}

// --- what comes next -------------------------------------------------------------------------------------------------

void replay_driver::read_next() {
  if (reading_ || all_read_ || stopping_)
    return;
  reading_ = true;
  request(transcripts_, read_timeout, next_conversation{})
      .then(
          [this](const conversation_read& read) {
            reading_ = false;
            take(read.item);
            fill();
          },
          [this](const caf::error&) {
            reading_ = false;
            all_read_ = true;
            outcome_->given_up = error{error_code::internal, "the files could not be read any further"};
            fill();
          });
}

void replay_driver::take(const transcript_reader::item& item) {
  if (std::holds_alternative<transcript_reader::end>(item)) {
    all_read_ = true;
  } else if (const auto* bad = std::get_if<bad_line>(&item)) {
    ++outcome_->bad_lines;
    plan_.progress->complain(plan_.place(bad->file, bad->line) + ": skipped: " + bad->reason);
  } else {
    current_ = std::get<std::shared_ptr<const conversation>>(item);
    copies_begun_ = 0;
    outcome_->lines.push_back({current_->file, current_->line});
    outcome_->sessions.resize(outcome_->sessions.size() + plan_.copies);
  }
}

void replay_driver::fill() {
  while (current_ && !stopping_ && running_ < plan_.concurrency &&
         (running_ == 0 || running_bytes_ + current_->cost_bytes <= running_bytes_max))
    begin();
  if (!current_)
    read_next();
  finish_if_done();
}

void replay_driver::begin() {
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const auto slot = free_slots_.back();
  free_slots_.pop_back();
  ++running_;
  running_bytes_ += current_->cost_bytes;
  auto& begun = slots_[slot];
  begun.text = current_;
  begun.copy = copies_begun_;
  begun.session_index = (outcome_->lines.size() - 1) * plan_.copies + copies_begun_;
  if (++copies_begun_ == plan_.copies)
    current_.reset();
  advance(slot);
}

void replay_driver::advance(std::size_t slot) {
  auto& each = slots_[slot];
  if (stopping_) {
    end_conversation(slot);
  } else if (!each.made) {
    make_session(slot);
  } else if (each.step < each.text->steps.size()) {
    send_step(slot);
  } else {
    outcome_->sessions[each.session_index] = each.session.id;
    ++outcome_->conversations;
    ++plan_.progress->conversations;
    end_conversation(slot);
  }
}

void replay_driver::end_conversation(std::size_t slot) {
  running_bytes_ -= slots_[slot].text->cost_bytes;
  slots_[slot] = running{};
  free_slots_.push_back(slot);
  --running_;
  fill();
}

// --- requests --------------------------------------------------------------------------------------------------------

template <class Answer, class Request, class Accept>
void replay_driver::ask(std::size_t slot, Request request_message, Accept accept) {
  request(directory_, plan_.request_timeout, std::move(request_message))
      .then(
          [this, slot, accept](const result<Answer>& given) {
            if (!given)
              return retry_or_fail(slot, given.failure());
            last_progress_ = clock().now();
            accept(*given);
            advance(slot);
          },
          [this, slot](const caf::error&) {
            fail_conversation(slot, "a request was not answered in time; whether it was carried out is unknown");
          });
}

void replay_driver::make_session(std::size_t slot) {
  const auto& each = slots_[slot];
  create_session create;
  create.tenant = plan_.tenant;
  create.user_id = "replay";
  create.metadata = R"({"conversation_id":)" + each.text->id_json + R"(,"copy":)" + std::to_string(each.copy + 1) + "}";
  ask<session_record>(slot, std::move(create), [this, slot](const session_record& made) {
    slots_[slot].session = made.key;
    slots_[slot].made = true;
  });
}

void replay_driver::send_step(std::size_t slot) {
  auto& each = slots_[slot];
  const auto& step = each.text->steps[each.step];
  const auto first = each.text->messages.begin() + static_cast<std::ptrdiff_t>(step.first);
  std::vector<event_input> events(first, first + static_cast<std::ptrdiff_t>(step.count));
  auto reservation = reserve(slot, events);
  if (!reservation)
    return;
  if (!first_append_)
    first_append_ = clock().now();
  const auto accepted = [this, slot](const auto&) { accept_step(slot); };
  switch (step.kind) {
  case step_kind::append:
    return ask<appended>(slot, append_events{each.session, std::move(events), durability::accepted, {}, reservation},
                         accepted);
  case step_kind::append_in_turn:
    return ask<appended>(
        slot, append_events{each.session, std::move(events), durability::accepted, each.turn, reservation}, accepted);
  case step_kind::start_turn:
    return ask<granted_turn>(slot, start_turn{each.session, std::move(events), {}, reservation},
                             [this, slot](const granted_turn& started) {
                               slots_[slot].turn = started.turn.id;
                               accept_step(slot);
                             });
  case step_kind::end_turn:
    return ask<turn_record>(
        slot, end_turn{each.session, each.turn, turn_status::completed, {}, std::move(events), reservation},
        [this, slot](const turn_record&) {
          ++outcome_->turns;
          accept_step(slot);
        });
  }
}

std::shared_ptr<const byte_reservation> replay_driver::reserve(std::size_t slot,
                                                               const std::vector<event_input>& events) {
  std::size_t bytes = turn_bytes;
  for (const auto& each : events)
    bytes += each.cost_bytes();
  auto taken = byte_reservation::take(budget_, bytes);
  if (!taken && bytes > budget_->bytes_max())
    fail_conversation(slot, "a message is larger than undurable_bytes_max allows");
  else if (!taken)
    retry_later(slot, {error_code::overloaded, "too much is accepted and not yet durable"});
  return taken;
}

void replay_driver::accept_step(std::size_t slot) {
  auto& each = slots_[slot];
  const auto count = each.text->steps[each.step].count;
  outcome_->messages += count;
  plan_.progress->messages += count;
  ++each.step;
}

void replay_driver::retry_or_fail(std::size_t slot, const error& why) {
  if (is_worth_a_retry(why.code))
    retry_later(slot, why);
  else
    fail_conversation(slot, why.message);
}

void replay_driver::retry_later(std::size_t slot, const error& why) {
  last_retried_ = why;
  delayed_send(this, why.retry_after.value_or(retry_after_default), retry_slot{slot});
}

void replay_driver::fail_conversation(std::size_t slot, const std::string& why) {
  const auto& each = slots_[slot];
  ++outcome_->failed;
  plan_.progress->complain(plan_.place(*each.text, each.copy) + ": not replayed to its end: " + why);
  end_conversation(slot);
}

// --- the end ---------------------------------------------------------------------------------------------------------

void replay_driver::stop() {
  if (stopping_ || answered_)
    return;
  stopping_ = true;
  outcome_->interrupted = true;
  stop_deadline_ = clock().now() + plan_.shutdown_timeout;
  finish_if_done();
}

void replay_driver::finish_if_done() {
  const bool nothing_follows = stopping_ || (all_read_ && !current_);
  if (running_ > 0 || !nothing_follows || flushing_ || answered_)
    return;
  flushing_ = true;
  plan_.progress->phase = replay_phase::flushing;
  last_progress_ = clock().now();
  send_flush();
}

void replay_driver::send_flush() {
  const auto left = std::min(stop_deadline_, last_progress_ + plan_.no_progress_max) - clock().now();
  const auto limit = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(left), 1ms);
  request(directory_, limit, flush{})
      .then([this](const result<flushed>& answer) { on_flushed(answer); },
            [this](const caf::error&) {
              on_flushed(error{error_code::deadline_exceeded, "not everything became durable in the time allowed"});
            });
}

void replay_driver::on_flushed(const result<flushed>& answered) {
  const auto now = clock().now();
  outcome_->durable = answered.has_value();
  if (answered) {
    outcome_->time = now - first_append_.value_or(now);
    return answer();
  }
  last_retried_ = answered.failure();
  delayed_send(this, answered.failure().retry_after.value_or(retry_after_default), retry_flush{});
}

void replay_driver::watch() {
  const auto now = clock().now();
  if (now >= stop_deadline_)
    return answer();
  if (running_ + (flushing_ ? 1 : 0) > 0 && now - last_progress_ >= plan_.no_progress_max) {
    outcome_->given_up = error{error_code::deadline_exceeded,
                               "given up: nothing has moved for " + std::to_string(plan_.no_progress_max.count()) +
                                   " ms" + (last_retried_ ? "; the last reason was: " + last_retried_->message : "")};
    return answer();
  }
  delayed_send(this, watch_interval, watch_replay{});
}

void replay_driver::answer() {
  if (std::exchange(answered_, true) || !answer_.pending())
    return;
  answer_.deliver(append_outcome_ptr(outcome_));
  quit();
}

} // namespace colloquy::cli
