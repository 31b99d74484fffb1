// Listening to a session: durable events from an offset on, in order, with no gap and no repeat; and the parts of a
// reply that is being made, which are not kept. Typed actor messages.
//
// A subscriber gets events_arrived and says events_taken for each, so that what is under way to it is bounded; who is
// further behind than limits::subscriber_lag_* gets subscription_ended with the offset to come back with, and slows
// nobody down. Parts of a reply are counted by it too: who is too far behind with those is sent no more of them until
// it has taken all that it got, and then the text so far. Its death ends the subscription.
#pragma once

#include "messages/turn_requests.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy {

using subscription_id = std::uint64_t; ///< of one session

/// Durable events, in order. What a rolled-back turn wrote may be among them if they became durable before.
struct events_arrived {
  session_key session;
  subscription_id subscription = 0;
  std::shared_ptr<const std::vector<event>> events; ///< those up to `after` of the subscription are not meant for it
  event_offset through = -1;                        ///< everything up to here has been sent, whatever is hidden
  std::optional<event_range> deleted{}; ///< then there are no events: these, of which some may have been sent, are gone
};

/// A part of a reply of the running turn. The first one that a subscriber gets of a turn is all the text so far, as is
/// the first after some were left out because it was too far behind; the `data` of those does not come again.
struct delta_arrived {
  session_key session;
  subscription_id subscription = 0;
  turn_id turn;
  std::shared_ptr<const std::string> text; ///< never null; shared by all who listen, like the next
  std::shared_ptr<const std::string> data; ///< never null: a JSON object
  bool is_text_so_far = false;
  bool is_cut = false; ///< of the text so far: its beginning is missing (limits::deltas_kept_bytes_max)
};

struct subscription_ended {
  session_key session;
  subscription_id subscription = 0;
  error why;                      ///< overloaded: too far behind; not_found: erased; session_expired; internal
  event_offset resume_after = -1; ///< what to subscribe with again
};

} // namespace colloquy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::events_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delta_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::subscription_ended)

namespace colloquy {

using event_subscriber =
    caf::typed_actor<caf::reacts_to<events_arrived>, caf::reacts_to<delta_arrived>, caf::reacts_to<subscription_ended>>;

/// Everything with offset > `after`, stored and to come.
struct subscribed {
  subscription_id subscription = 0;
  event_offset durable_offset = -1; ///< at that moment
};
struct subscribe_events {
  using reply = subscribed;
  session_key session;
  event_subscriber subscriber;
  event_offset after = -1;
  std::optional<std::string> as_user{};
};

/// From a subscriber: I am done with everything up to here.
struct events_taken {
  session_key session;
  subscription_id subscription = 0;
  event_offset through = -1;
  std::uint64_t deltas = 0; ///< of delta_arrived, how many in all since it subscribed
};

/// From a subscriber: no more. Not answered.
struct unsubscribe_events {
  session_key session;
  subscription_id subscription = 0;
};

} // namespace colloquy

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::subscribe_events)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::subscribed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::events_taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::unsubscribe_events)
