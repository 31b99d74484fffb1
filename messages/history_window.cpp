#include "messages/history_window.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

namespace colloquy {
namespace {

constexpr std::int64_t unbounded = std::numeric_limits<std::int64_t>::max();

/// So that no counter's answer can make a sum overflow.
constexpr std::int64_t tokens_of_one_max = std::numeric_limits<std::int32_t>::max();

void append_escaped(std::string& json, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      json += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      json += "\\u00";
      json += {digits[c >> 4], digits[c & 0x0f]};
    } else {
      json += c;
    }
  }
}

event made_up_result(const event& call, std::string_view id) {
  event result;
  result.role = message_role::tool;
  result.data = R"({"role":"tool","tool_call_id":")";
  append_escaped(result.data, id);
  result.data += R"(","content":"No result: the turn that made this call has ended.","metadata":{"synthetic":true}})";
  result.tool_call_id = id;
  result.trace_id = call.trace_id;
  result.offset = call.offset;
  result.created_at = call.created_at;
  result.turn = call.turn;
  result.messages = call.messages;
  return result;
}

bool is_result(const event& message) {
  return message.role == message_role::tool && !message.tool_call_id.empty();
}

bool makes_calls(const event& message) {
  return message.role == message_role::assistant && !message.tool_call_ids.empty();
}

} // namespace

std::int64_t estimate_tokens(const event_input& message) noexcept {
  return static_cast<std::int64_t>((message.data.size() + 3) / 4) + 4;
}

history_window::history_window(const history_limits& limits, turn_id running, std::optional<event> first,
                               token_counter count_tokens)
  : token_budget_(std::max<std::int64_t>(limits.token_budget.value_or(unbounded), 1))
  , messages_max_(std::max<std::int64_t>(limits.messages_max.value_or(unbounded), 1))
  , bytes_max_(limits.bytes_max)
  , running_(running)
  , count_tokens_(std::move(count_tokens)) {
  if (!first || first->role != message_role::system)
    return;
  leading_ = std::move(first);
  leading_extent_ = {tokens_of(*leading_), 1};
  bytes_ = leading_->cost_bytes();
  read_ = leading_extent_;
}

bool history_window::fits(const extent& sum) const noexcept {
  return sum.tokens <= token_budget_ && sum.messages <= messages_max_;
}

/// No unit can begin any more. A message may count no token, but always counts as one message.
bool history_window::is_full() const noexcept {
  return read_.tokens > token_budget_ || read_.messages >= messages_max_;
}

std::int64_t history_window::tokens_of(const event& message) const {
  if (message.tokens)
    return std::max(*message.tokens, 0);
  const auto counted = count_tokens_ ? count_tokens_(message) : estimate_tokens(message);
  return std::clamp<std::int64_t>(counted, 0, tokens_of_one_max);
}

/// False, and the window ends, if they are too many.
bool history_window::hold_bytes(std::size_t bytes) noexcept {
  if (bytes_ > bytes_max_ || bytes > bytes_max_ - bytes_) {
    is_done_ = true;
    return false;
  }
  bytes_ += bytes;
  return true;
}

void history_window::add(event message) {
  if (is_done_ || message.kind != event_kind::message || message.offset >= last_offset_)
    return;
  last_offset_ = message.offset;
  if (leading_ && leading_->offset == message.offset)
    return;
  if (!hold_bytes(message.cost_bytes()))
    return;
  const bool was_full = is_full();
  const bool was_result = is_result(message);
  if (was_result) {
    add_result(std::move(message));
  } else if (makes_calls(message)) {
    add_calls(std::move(message));
  } else {
    hold(std::move(message), {}, new_unit(true));
  }
  update_done(was_full, was_result);
}

void history_window::add_result(event message) {
  auto [found, is_new] = waiting_.try_emplace(message.tool_call_id);
  auto& results = found->second;
  if (is_new)
    results = {new_unit(false), read_, units_real_ == 0, false};
  hold(std::move(message), {}, results.unit);
  ++results_waiting_;

  extent least = results.newer;
  least += units_[results.unit].total;
  least += {0, 1}; // the call's message, whose tokens may be none
  const bool could = std::exchange(results.can_get_in, results.may_be_first || fits(least));
  if (could != results.can_get_in)
    could ? --ids_that_can_ : ++ids_that_can_;
}

void history_window::add_calls(event message) {
  std::vector<std::string_view> answered;
  std::vector<std::string_view> open;
  std::set<std::string_view> seen;
  for (const std::string_view id : message.tool_call_ids)
    if (seen.insert(id).second)
      (waiting_.contains(id) ? answered : open).push_back(id);

  auto made_up = close_calls(message, open);
  if (is_done_)
    return;
  const auto unit = join_results(answered);
  hold(std::move(message), std::move(made_up), unit);
}

std::vector<event> history_window::close_calls(const event& message, const std::vector<std::string_view>& open) {
  std::vector<event> made_up;
  if (message.turn.is_nil() || message.turn == running_)
    return made_up;
  for (const auto id : open) {
    made_up.push_back(made_up_result(message, id));
    // One message can make hundreds of thousands of calls.
    if (!hold_bytes(made_up.back().cost_bytes()))
      break;
  }
  return made_up;
}

/// The unit of the newest of these results, which now has them all; a new one if there are none.
std::size_t history_window::join_results(const std::vector<std::string_view>& answered) {
  std::vector<std::size_t> parts;
  for (const auto id : answered) {
    const auto found = waiting_.find(id);
    parts.push_back(found->second.unit);
    results_waiting_ -= static_cast<std::size_t>(units_[found->second.unit].total.messages);
    if (found->second.can_get_in)
      --ids_that_can_;
    waiting_.erase(found);
  }
  if (parts.empty())
    return new_unit(true);
  const auto whole = *std::min_element(parts.begin(), parts.end());
  for (const auto part : parts) {
    units_[part].whole = whole;
    if (part == whole)
      continue;
    units_[part].is_part = true;
    units_[whole].total += units_[part].total;
  }
  units_[whole].is_real = true;
  ++units_real_;
  return whole;
}

std::size_t history_window::new_unit(bool is_real) {
  const auto index = units_.size();
  units_.push_back({});
  units_.back().is_real = is_real;
  units_.back().whole = index;
  if (is_real)
    ++units_real_;
  return index;
}

void history_window::hold(event message, std::vector<event> made_up, std::size_t unit) {
  extent more{tokens_of(message), 1};
  for (const auto& result : made_up)
    more.tokens += tokens_of(result);
  units_[unit].total += more;
  read_ += more;
  entries_.push_back({std::move(message), std::move(made_up), unit});
}

void history_window::update_done(bool was_full, bool was_result) {
  // The results of the newest unit are no search: they are given with it.
  if (was_full && !(was_result && units_real_ == 0))
    ++lookback_;
  // As long as no unit is real, a result that waits for its call can get in.
  const bool found_all = is_full() && ids_that_can_ == 0;
  is_done_ = is_done_ || found_all || lookback_ >= lookback_max || results_waiting_ > results_waiting_max;
}

void history_window::choose_units() {
  extent sum = leading_extent_;
  bool has_one = false;
  for (auto& unit : units_) {
    if (unit.is_part)
      continue;
    sum += unit.total;
    const bool has_ended = !fits(sum); // and stays so: sums only grow
    if (has_ended && has_one)
      return;
    unit.is_chosen = unit.is_real;
    has_one = has_one || unit.is_real;
  }
}

void history_window::put_messages(chosen_history& history) {
  std::vector<event> made_up; // waits until the real results that follow the call are there
  std::size_t whose = 0;
  auto put_made_up = [&] {
    history.made_up += static_cast<std::int64_t>(made_up.size());
    std::move(made_up.begin(), made_up.end(), std::back_inserter(history.messages));
    made_up.clear();
  };
  std::reverse(entries_.begin(), entries_.end());
  for (auto& each : entries_) {
    const auto whole = units_[each.unit].whole;
    if (!units_[whole].is_chosen)
      continue;
    if (whole != whose)
      put_made_up();
    whose = whole;
    history.messages.push_back(std::move(each.message));
    ++history.kept;
    if (!each.made_up.empty())
      made_up = std::move(each.made_up);
  }
  put_made_up();
}

chosen_history history_window::finish() && {
  chosen_history history;
  history.tokens = leading_extent_.tokens;
  if (leading_) {
    history.messages.push_back(*std::move(leading_));
    history.kept = 1;
  }
  choose_units();
  for (const auto& unit : units_)
    if (unit.is_chosen)
      history.tokens += unit.total.tokens;
  put_messages(history);
  return history;
}

} // namespace colloquy
