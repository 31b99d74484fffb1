// Histories that fit a budget, read newest first. history_window.hpp says what fits.
#include "actors/session_history.hpp"

#include "db/session_queries.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t page_max = 500;

} // namespace

/// A rolled-back turn, or a deletion, of which the database has not heard.
bool session::hides_undurably() const {
  const auto has_ended_so = [](const db::turn_row& turn) { return turn.status == turn_status::rolled_back; };
  return doing_ && std::any_of(doing_->undurable.begin(), doing_->undurable.end(), [&](const auto& write) {
           return !write->deleted.empty() || std::any_of(write->turns.begin(), write->turns.end(), has_ended_so);
         });
}

/// The log's first message comes first, because a leading system message counts before all others.
void session::read_newest(std::shared_ptr<history_reading> reading) {
  event_blocks blocks;
  const auto from = in_memory(blocks);
  if (from == 0 || known_->messages == 0)
    return choose(std::move(reading), first_of(blocks));
  if (hides_undurably()) // the database would show and count what is hidden
    return when_durable(
        last_number_,
        [this, reading](const error* problem) {
          if (problem)
            reading->done(*problem);
          else
            read_newest(reading);
        },
        error{error_code::database_unavailable,
              "what was rolled back or deleted was not durable within the time allowed", 1000ms});
  if (doing().first_message)
    return choose(std::move(reading), *doing().first_message);
  ask_database(db::read_first_message(source()), "read_first",
               [this, reading, from, hidings = doing().hidings](const db::unit_outcome& outcome) {
                 on_first(reading, from, hidings, outcome);
               });
}

/// `from` and `hidings`: where memory began and how often something had been hidden when the database was asked.
void session::on_first(std::shared_ptr<history_reading> reading, event_offset from, std::uint64_t hidings,
                       const db::unit_outcome& outcome) {
  auto found = db::decode_log(outcome);
  if (!found)
    return reading->done(found.failure());
  event_blocks blocks;
  const bool is_old = hidings != doing().hidings || (found->empty() && in_memory(blocks) > from);
  if (is_old)
    return read_newest(std::move(reading));
  if (found->empty()) // all messages are still in memory
    return choose(std::move(reading), first_of(blocks));
  auto& first = found->front();
  if (first.role != message_role::system)
    first.data.clear(); // only who wrote it matters then
  doing().first_message = first;
  choose(std::move(reading), std::move(first));
}

std::optional<event> session::first_of(const event_blocks& blocks) const {
  for (const auto& block : blocks)
    for (const auto& entry : *block)
      if (entry.kind == event_kind::message && !is_hidden(entry))
        return entry;
  return std::nullopt;
}

void session::choose(std::shared_ptr<history_reading> reading, std::optional<event> first) {
  const auto next = known_->record.next_offset;
  const auto before = std::min(reading->before.value_or(next), next);
  history_limits bounds;
  bounds.token_budget = reading->token_budget;
  if (!reading->token_budget)
    bounds.messages_max = static_cast<std::int64_t>(limits::page_default);
  if (first && (first->role != message_role::system || first->offset >= before))
    first.reset();
  reading->window.emplace(bounds, turn_runs() ? known_->last_turn->id : turn_id{}, std::move(first),
                          environment_->count_tokens);
  reading->is_whole = before == next;
  if (reading->is_whole) {
    reading->messages = known_->messages;
    reading->through = next - 1;
  }
  event_blocks blocks;
  const auto below = in_memory(blocks);
  std::int64_t hidden = 0;
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block)
    for (auto entry = (*block)->rbegin(); entry != (*block)->rend(); ++entry)
      if (entry->offset < before) {
        hand_in(*reading, *entry);
        hidden += entry->kind == event_kind::message && is_hidden(*entry) ? 1 : 0;
      }
  if (below == 0)
    reading->hidden = hidden;
  read_older(std::move(reading), std::min(below, before));
}

void session::hand_in(history_reading& to, const event& entry) const {
  if (to.messages < 0) {
    to.messages = entry.messages;
    to.through = entry.offset;
  }
  if (entry.kind == event_kind::message && !is_hidden(entry) && to.window->wants_more())
    to.window->add(entry);
}

void session::read_older(std::shared_ptr<history_reading> reading, event_offset before) {
  if (before <= 0 || !reading->window->wants_more())
    return count_trimmed(std::move(reading));
  db::log_part part;
  part.before = before;
  part.limit = reading->page;
  part.newest_first = true;
  part.only_messages = true;
  reading->page = std::min(reading->page * 4, page_max);
  ask_database(db::read_log(source(), part), "read_log", [this, reading](const db::unit_outcome& outcome) {
    auto found = db::decode_log(outcome);
    if (!found)
      return reading->done(found.failure());
    if (found->empty())
      return count_trimmed(reading);
    for (const auto& entry : *found)
      hand_in(*reading, entry);
    const auto& last = found->back();
    read_older(reading, last.messages <= 1 ? 0 : last.offset);
  });
}

/// How many were left out is told from the messages' own numbers, less those that rolled-back turns hide.
void session::count_trimmed(std::shared_ptr<history_reading> reading) {
  auto chosen = std::move(*reading->window).finish();
  history_page page;
  page.messages = std::move(chosen.messages);
  if (!page.messages.empty())
    page.next = page.messages.front().offset;
  const auto all = std::max<std::int64_t>(reading->messages, 0);
  page.trimmed = std::max<std::int64_t>(all - chosen.kept, 0);
  page.has_more = page.trimmed > 0;
  if (page.trimmed == 0)
    return reading->done(std::move(page));
  auto less_hidden = [reading, page = std::move(page)](std::int64_t hidden) mutable {
    page.trimmed = std::max<std::int64_t>(page.trimmed - hidden, 0);
    page.has_more = page.trimmed > 0;
    reading->done(std::move(page));
  };
  if (reading->hidden)
    return less_hidden(*reading->hidden);
  if (reading->is_whole && doing().hidden_messages)
    return less_hidden(*doing().hidden_messages);
  ask_database(db::count_hidden(source(), reading->through), "count_hidden",
               [this, reading, hidings = doing().hidings, less_hidden](const db::unit_outcome& outcome) mutable {
                 auto hidden = db::decode_count(outcome);
                 if (!hidden)
                   return reading->done(hidden.failure());
                 if (reading->is_whole && hidings == doing().hidings)
                   doing().hidden_messages = *hidden;
                 less_hidden(*hidden);
               });
}

} // namespace colloquy::actors
