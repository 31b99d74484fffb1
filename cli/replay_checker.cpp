#include "cli/replay_checker.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto read_timeout = 60s;

/// Pages under way: enough to keep PostgreSQL's backends at work, few enough to be held in memory.
constexpr std::size_t sessions_read_max = 32;

/// Of one page, by the largest message that it may hold.
constexpr std::size_t page_bytes_max = std::size_t{8} << 20;

std::size_t page_events_for(const conversation& text) {
  std::size_t largest = 1;
  for (const auto& each : text.messages)
    largest = std::max(largest, each.cost_bytes());
  return std::clamp<std::size_t>(page_bytes_max / largest, 1, limits::page_events_max);
}

} // namespace

replay_checker::replay_checker(caf::actor_config& config, directory_actor directory, transcript_actor transcripts,
                               replay_plan plan, append_outcome_ptr appended)
  : replay_checker_internal::base(config)
  , directory_(std::move(directory))
  , transcripts_(std::move(transcripts))
  , plan_(std::move(plan))
  , appended_(std::move(appended)) {}

replay_checker::behavior_type replay_checker::make_behavior() {
  return {[this](begin_check) {
            answer_ = make_response_promise<check_outcome>();
            last_progress_ = clock().now();
            delayed_send(this, watch_interval, watch_check{});
            read_next();
            return answer_;
          },
          [this](stop_replay) { stop(); }, [this](retry_check retry) { advance(retry.slot); },
          [this](watch_check) { watch(); }};
}

void replay_checker::on_exit() {
  answer();
  directory_ = nullptr;
  transcripts_ = nullptr;
}

void replay_checker::read_next() {
  if (reading_files_ || all_read_)
    return;
  reading_files_ = true;
  request(transcripts_, read_timeout, next_conversation{})
      .then(
          [this](const conversation_read& read) {
            reading_files_ = false;
            take(read.item);
            fill();
          },
          [this](const caf::error&) {
            reading_files_ = false;
            all_read_ = true;
            outcome_.given_up = error{error_code::internal, "the files could not be read a second time"};
            fill();
          });
}

void replay_checker::take(const transcript_reader::item& item) {
  const auto& lines = appended_->lines;
  if (std::holds_alternative<transcript_reader::end>(item)) {
    all_read_ = true;
    while (next_line_ < lines.size())
      expect({plan_.files.size(), 0});
    return;
  }
  const auto* text = std::get_if<std::shared_ptr<const conversation>>(&item);
  if (text == nullptr) // bad lines have been named by the driver
    return;
  const line_place place{(*text)->file, (*text)->line};
  expect(place);
  if (next_line_ == lines.size() || lines[next_line_] != place)
    return;
  ++next_line_;
  current_ = *text;
  copies_begun_ = 0;
}

/// Lines that were appended and are not there any more, before this place, are mismatches.
void replay_checker::expect(const line_place& place) {
  const auto& lines = appended_->lines;
  const auto is_before = [&](const line_place& each) {
    return each.file < place.file || (each.file == place.file && each.line < place.line);
  };
  for (; next_line_ < lines.size() && is_before(lines[next_line_]); ++next_line_) {
    outcome_.mismatched += plan_.copies;
    plan_.progress->complain(plan_.place(lines[next_line_].file, lines[next_line_].line) +
                             ": the file has changed while it was replayed");
  }
}

void replay_checker::fill() {
  const auto sessions_max = std::min(plan_.concurrency, sessions_read_max);
  while (current_ && reading_sessions_ < sessions_max)
    begin();
  if (!current_)
    read_next();
  if (all_read_ && !current_ && reading_sessions_ == 0)
    answer();
}

void replay_checker::begin() {
  const auto index = (next_line_ - 1) * plan_.copies + copies_begun_;
  const auto copy = copies_begun_++;
  const auto text = current_;
  if (copies_begun_ == plan_.copies)
    current_.reset();
  const auto id = appended_->sessions[index];
  if (id.is_nil()) // not replayed whole, and named by the driver
    return;
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const auto slot = free_slots_.back();
  free_slots_.pop_back();
  ++reading_sessions_;
  auto& begun = slots_[slot];
  begun.text = text;
  begun.copy = copy;
  begun.session = {plan_.tenant, id};
  begun.comparing.emplace(*text);
  begun.page_events = page_events_for(*text);
  advance(slot);
}

void replay_checker::advance(std::size_t slot) {
  auto& each = slots_[slot];
  if (!each.record)
    return ask<session_record>(slot, get_session{each.session}, [this, slot](const session_record& record) {
      slots_[slot].record = record;
      advance(slot);
    });
  read_events wanted{each.session, each.last_offset, each.page_events};
  wanted.from_database = true; // what is in memory proves nothing
  ask<event_page>(slot, std::move(wanted), [this, slot](const event_page& page) { take_page(slot, page); });
}

template <class Answer, class Request, class Accept>
void replay_checker::ask(std::size_t slot, Request request_message, Accept accept) {
  request(directory_, plan_.request_timeout, std::move(request_message))
      .then(
          [this, slot, accept](const result<Answer>& given) {
            if (given) {
              last_progress_ = clock().now();
              return accept(*given);
            }
            const auto& why = given.failure();
            if (why.code == error_code::overloaded || why.code == error_code::database_unavailable)
              return delayed_send(this, why.retry_after.value_or(retry_after_default), retry_check{slot});
            give_up_session(slot, why.message);
          },
          [this, slot](const caf::error&) { give_up_session(slot, "a request was not answered in time"); });
}

void replay_checker::take_page(std::size_t slot, const event_page& page) {
  auto& each = slots_[slot];
  for (const auto& read : page.events) {
    each.comparing->take(read);
    each.last_offset = std::max(each.last_offset, read.offset);
    outcome_.messages += read.kind == event_kind::message ? 1 : 0;
  }
  // A page may be shorter than asked for although more follows; what the session counts tells.
  const bool is_last = page.events.empty() ||
                       (page.events.size() < each.page_events && each.last_offset + 1 >= each.record->next_offset);
  if (is_last)
    end_session(slot);
  else
    advance(slot);
}

void replay_checker::end_session(std::size_t slot) {
  auto& each = slots_[slot];
  const auto found = each.comparing->finish(each.record->turn_count);
  outcome_.events += found.events;
  outcome_.verified += found.verified;
  outcome_.mismatched += found.mismatched;
  plan_.progress->messages += found.verified;
  ++plan_.progress->conversations;
  for (const auto& complaint : found.complaints)
    plan_.progress->complain(plan_.place(*each.text, each.copy) + ", session " + each.session.id.to_string() + ": " +
                             complaint);
  free(slot);
}

void replay_checker::give_up_session(std::size_t slot, const std::string& why) {
  const auto& each = slots_[slot];
  outcome_.mismatched += std::max<std::size_t>(each.text->messages.size(), 1);
  plan_.progress->complain(plan_.place(*each.text, each.copy) + ", session " + each.session.id.to_string() +
                           ": could not be read back: " + why);
  free(slot);
}

void replay_checker::free(std::size_t slot) {
  slots_[slot] = reading{};
  free_slots_.push_back(slot);
  --reading_sessions_;
  fill();
}

void replay_checker::stop() {
  outcome_.interrupted = true;
  answer();
}

void replay_checker::watch() {
  if (clock().now() - last_progress_ >= plan_.no_progress_max) {
    outcome_.given_up = error{error_code::deadline_exceeded, "verifying was given up: nothing has moved for " +
                                                                 std::to_string(plan_.no_progress_max.count()) + " ms"};
    return answer();
  }
  delayed_send(this, watch_interval, watch_check{});
}

void replay_checker::answer() {
  if (std::exchange(answered_, true) || !answer_.pending())
    return;
  answer_.deliver(outcome_);
  quit();
}

} // namespace colloquy::cli
