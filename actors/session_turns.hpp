// What asking for a turn and running it have in common. Inside of session_*.cpp only.
#pragma once

#include "actors/session_state.hpp"

#include <caf/abstract_actor.hpp>
#include <caf/actor_cast.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace colloquy::actors {

inline std::optional<error> check_lease(std::chrono::seconds lease) {
  if (lease >= std::chrono::seconds{1} && lease <= limits::lease_max)
    return std::nullopt;
  return error{error_code::invalid_request, "lease is " + std::to_string(lease.count()) + " s; 1 to " +
                                                std::to_string(limits::lease_max.count()) + " is allowed"};
}

/// `last`: the running one; if it does not run, another is just being handed over.
inline error turn_in_progress(const std::optional<db::turn_row>& last) {
  if (last && last->status == turn_status::running)
    return {error_code::turn_in_progress, "turn " + std::to_string(last->number) + " is running"};
  return {error_code::turn_in_progress, "another turn is just starting"};
}

inline bool cuts_in(turn_policy policy) {
  return policy == turn_policy::interrupt || policy == turn_policy::rollback;
}

/// What becomes of the turn that one of this policy ends.
inline turn_status cut_as(turn_policy policy) {
  return policy == turn_policy::rollback ? turn_status::rolled_back : turn_status::interrupted;
}

inline void answer_all(waiting_turn& waiting, const result<granted_turn>& with) {
  waiting.answer.deliver(with);
  for (auto& repeat : std::exchange(waiting.repeats, {}))
    repeat.answer.deliver(with);
}

/// Nobody waits for it any more. What it was to write is dropped now, not when its history has been read; nor does it
/// count as one of its tenant's turns.
inline void let_go(granting_turn& granting) {
  granting.is_let_go = true;
  granting.whose.request.events.clear();
  granting.whose.request.reservation.reset();
  granting.counted.reset();
}

/// An answer would reach nobody. Not known of one who asked without a name.
inline bool has_ended(const caf::actor_addr& asker) {
  if (!asker)
    return false;
  const auto there = caf::actor_cast<caf::strong_actor_ptr>(asker);
  return !there || caf::actor_cast<caf::abstract_actor*>(there)->getf(caf::abstract_actor::is_cleaned_up_flag);
}

/// Takes those out who are gone; one who asked again takes the place of the first. False: nobody is left.
template <class IsGone>
bool keep_askers(waiting_turn& waiting, IsGone is_gone) {
  std::erase_if(waiting.repeats, [&](const repeated_turn& each) { return is_gone(each.asker); });
  if (!is_gone(waiting.asker))
    return true;
  if (waiting.repeats.empty())
    return false;
  waiting.answer = std::move(waiting.repeats.front().answer);
  waiting.asker = std::move(waiting.repeats.front().asker);
  waiting.repeats.erase(waiting.repeats.begin());
  return true;
}

} // namespace colloquy::actors
