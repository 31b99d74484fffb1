// Histories that fit: which messages of a log a model is given, chosen while the log is read newest first.
//
// Units. An assistant's message and the tool messages that answer its calls are one unit, in together or out together,
// whatever lies between them. A tool message answers the nearest assistant's message before it that makes a call of
// its tool_call_id; an id may be used again later, and a call may have several answers. Every other message is a unit
// of its own, a tool message without an id and a system message that is not the log's first too.
//
// The choice. The leading system message is always in and counts first. Then units are taken by the newest message in
// each, newest first, as long as their sum fits; the first that does not fit ends it, and nothing older gets in beside
// it. So a result that came late brings its call with it, and what lies between makes room if it must.
//
// The newest unit is always in, whole, even if it does not fit alone, and then nothing else is but the system message.
// A history without the question would be answered without the question, and nobody would see why; half a unit is
// refused by every model. One that is too long is refused too, but by name, and `tokens` has told the caller.
//
// Results without a call are never given, as models refuse them. They are not told from others until the log has been
// read to its beginning, so they count as if they were: those of one id together, at the place of the newest.
//
// Open calls. A call without a result, made in a turn that does not run any more, is followed by a made-up result:
//     {"role":"tool","tool_call_id":ID,"content":"No result: ...","metadata":{"synthetic":true}}
// It stands behind the assistant's message and the real results that follow that directly, counts its tokens, and has
// no offset of its own: offset, time, turn and `messages` are those of the assistant's message. It is shown, never
// stored. Calls of the running turn, and of none, stay open. A result that was not handed in, because it is hidden or
// at or above the offset that reading began with, is not there.
//
// Tokens of a message: event.tokens, else what the counter says, else ceil(bytes of data / 4) + 4.
//
// Cost. Reading ends with the first message that cannot get in: about one more than are given. Only while a result
// that would fit waits for its call is more read, and that is bounded: history_window::lookback_max,
// results_waiting_max, and history_limits::bytes_max. At a bound the call counts as if there were none.
#pragma once

#include "messages/event.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

/// Tokens of a message whose author did not say. Must not throw; below 0 counts as 0.
using token_counter = std::function<std::int64_t(const event&)>;

/// ceil(bytes of data / 4) + 4.
std::int64_t estimate_tokens(const event_input& message) noexcept;

/// What must fit; what is not set does not bound. At least 1 each, and less counts as 1.
struct history_limits {
  std::optional<std::int64_t> token_budget{};
  std::optional<std::int64_t> messages_max{}; ///< real ones: what is made up does not count
  /// What may be held at once, by event_input::cost_bytes(), made-up results too. Hard: here even the newest unit is
  /// given up, and the history is what fitted, or only the system message.
  std::size_t bytes_max = std::size_t{64} << 20;
};

struct chosen_history {
  std::vector<event> messages; ///< oldest first
  std::int64_t kept = 0;       ///< real ones among them, the leading system message too
  std::int64_t made_up = 0;    ///< the others
  std::int64_t tokens = 0;     ///< of all of them; above the budget only as said above
};

/// Hand in messages newest first while wants_more(); then finish(). Pages should grow from a few messages, so that
/// what is read follows what is given. Not thread-safe.
class history_window {
public:
  /// Messages read beyond what fits, in search of the call of a result that fits.
  static constexpr std::size_t lookback_max = 1000;
  /// Results whose call has not come.
  static constexpr std::size_t results_waiting_max = 10'000;

  /// `running`: the turn that runs now, nil if none does. `first`: the log's first message (of what is shown), which is
  /// always in if its role is system; none: no message is always in.
  history_window(const history_limits& limits, turn_id running, std::optional<event> first = std::nullopt,
                 token_counter count_tokens = {});

  /// False: nothing older can get in.
  bool wants_more() const noexcept { return !is_done_; }

  /// The next older message. Events that are no messages, what is not older than the last one (pages may overlap) and
  /// whatever comes after wants_more() said no are passed over. The first message may be handed in again.
  void add(event message);

  chosen_history finish() &&;

private:
  struct extent {
    std::int64_t tokens = 0;
    std::int64_t messages = 0;
    extent& operator+=(const extent& more) {
      tokens += more.tokens;
      messages += more.messages;
      return *this;
    }
  };
  struct unit_state {
    extent total{};
    bool is_real = false;  ///< not only results whose call has not come
    bool is_part = false;  ///< of another one: these were results of the same call's message
    std::size_t whole = 0; ///< which one; itself if it is none's part
    bool is_chosen = false;
  };
  struct entry {
    event message;
    std::vector<event> made_up{};
    std::size_t unit = 0;
  };
  /// Results of one id whose call has not come.
  struct waiting_results {
    std::size_t unit = 0;
    extent newer{};            ///< of all that was read before the newest of them
    bool may_be_first = false; ///< no real unit was newer, so that this one is given even if it does not fit
    bool can_get_in = false;
  };

  bool fits(const extent& sum) const noexcept;
  bool is_full() const noexcept;
  std::int64_t tokens_of(const event& message) const;
  bool hold_bytes(std::size_t bytes) noexcept;
  void add_result(event message);
  void add_calls(event message);
  std::vector<event> close_calls(const event& message, const std::vector<std::string_view>& open);
  std::size_t join_results(const std::vector<std::string_view>& answered);
  std::size_t new_unit(bool is_real);
  void hold(event message, std::vector<event> made_up, std::size_t unit);
  void update_done(bool was_full, bool was_result);
  void choose_units();
  void put_messages(chosen_history& history);

  const std::int64_t token_budget_;
  const std::int64_t messages_max_;
  const std::size_t bytes_max_;
  const turn_id running_;
  const token_counter count_tokens_;
  std::optional<event> leading_;
  extent leading_extent_{};

  std::vector<entry> entries_;    ///< newest first, until put_messages()
  std::vector<unit_state> units_; ///< by the newest message in each
  std::map<std::string, waiting_results, std::less<>> waiting_;
  extent read_{};                   ///< of all that was read, made-up results too
  std::size_t bytes_ = 0;           ///< held
  std::size_t results_waiting_ = 0; ///< messages
  std::size_t ids_that_can_ = 0;    ///< of waiting_, those that can get in
  std::size_t units_real_ = 0;
  std::size_t lookback_ = 0;
  event_offset last_offset_ = std::numeric_limits<event_offset>::max();
  bool is_done_ = false;
};

} // namespace colloquy
