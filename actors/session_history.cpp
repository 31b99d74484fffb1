// Histories that fit a budget, read newest first. history_window.hpp says what fits.
#include "actors/session_history.hpp"

#include "db/session_queries.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

constexpr std::size_t page_max = 500;

} // namespace

/// The log's first message comes first, because a leading system message counts before all others.
void session::read_newest(std::shared_ptr<history_reading> reading) {
  event_blocks blocks;
  const auto from = in_memory(blocks);
  if (from == 0 || known_->messages == 0)
    return choose(std::move(reading), first_of(blocks));
  if (doing().first_message)
    return choose(std::move(reading), *doing().first_message);
  ask_database(db::read_first_message(source()), "read_first", [this, reading](const db::unit_outcome& outcome) {
    auto found = db::decode_log(outcome);
    if (!found)
      return reading->done(found.failure());
    std::optional<event> first;
    if (!found->empty())
      first = std::move(found->front());
    if (first && first->role != message_role::system)
      first->data.clear(); // only who wrote it matters then
    doing().first_message = first;
    choose(reading, std::move(first));
  });
}

std::optional<event> session::first_of(const event_blocks& blocks) const {
  for (const auto& block : blocks)
    for (const auto& entry : *block)
      if (entry.kind == event_kind::message && !is_hidden(entry))
        return entry;
  return std::nullopt;
}

void session::choose(std::shared_ptr<history_reading> reading, std::optional<event> first) {
  history_limits bounds;
  bounds.token_budget = reading->token_budget;
  if (!reading->token_budget)
    bounds.messages_max = static_cast<std::int64_t>(limits::page_default);
  if (first && first->role != message_role::system)
    first.reset();
  reading->window.emplace(bounds, turn_runs() ? known_->last_turn->id : turn_id{}, std::move(first),
                          environment_->count_tokens);
  event_blocks blocks;
  auto below = in_memory(blocks);
  const auto before = reading->before.value_or(known_->record.next_offset);
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block)
    for (auto entry = (*block)->rbegin(); entry != (*block)->rend(); ++entry)
      if (entry->offset < before)
        hand_in(*reading, *entry);
  read_older(std::move(reading), std::min(below, before));
}

void session::hand_in(history_reading& to, const event& entry) const {
  if (to.messages < 0)
    to.messages = entry.messages;
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
  const bool is_whole = reading->before.value_or(known_->record.next_offset) >= known_->record.next_offset;
  if (is_whole && doing().hidden_messages)
    return less_hidden(*doing().hidden_messages);
  ask_database(db::count_hidden(source(), key_, reading->before.value_or(known_->record.next_offset) - 1),
               "count_hidden", [this, reading, is_whole, less_hidden](const db::unit_outcome& outcome) mutable {
                 auto hidden = db::decode_count(outcome);
                 if (!hidden)
                   return reading->done(hidden.failure());
                 if (is_whole)
                   doing().hidden_messages = *hidden;
                 less_hidden(*hidden);
               });
}

} // namespace colloquy::actors
