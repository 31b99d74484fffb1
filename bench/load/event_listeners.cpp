#include "bench/load/event_listeners.hpp"

#include "bench/load/actor_client.hpp"

#include <caf/send.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace colloquy::load {
namespace {

/// Shared by the subscribers of a session.
struct audience {
  directory_actor directory;
  caf::actor owner;
  std::size_t listeners = 0;
  std::function<void(event_offset)> heard;
  std::atomic<std::size_t> deliveries{0};

  void tell(event_offset offset) {
    caf::anon_send(owner, to_be_done{[to = heard, offset] { to(offset); }});
  }
  /// Events come one at a time, so the last delivery of each is the one that makes a multiple.
  void count(event_offset offset) {
    if (deliveries.fetch_add(1) % listeners == listeners - 1)
      tell(offset);
  }
};

event_subscriber::behavior_type listen(event_subscriber::pointer self, std::shared_ptr<audience> all,
                                       event_offset after) {
  auto last = std::make_shared<event_offset>(after);
  return {[self, all, last](const events_arrived& news) {
            for (const auto& each : *news.events)
              if (each.offset > *last)
                all->count(*last = each.offset);
            self->send(all->directory, events_taken{news.session, news.subscription, news.through});
          },
          [](const delta_arrived&) {},
          [self, all](const subscription_ended&) {
            all->tell(-1);
            self->quit();
          }};
}

} // namespace

void listen_as_actors(caf::event_based_actor* self, const directory_actor& directory, const session_key& session,
                      std::size_t listeners, std::function<void(event_offset)> heard, answer<listeners_ready> then) {
  auto all = std::make_shared<audience>();
  all->directory = directory;
  all->owner = caf::actor(self);
  all->listeners = listeners;
  all->heard = std::move(heard);
  auto left = std::make_shared<std::size_t>(listeners);
  auto answered = std::make_shared<answer<listeners_ready>>(std::move(then));
  const auto on_answer = [left, answered, listeners](result<listeners_ready> given) {
    if (*left == 0)
      return; // one of them has failed
    *left = given ? *left - 1 : 0;
    if (*left == 0)
      (*answered)(given);
  };
  for (std::size_t i = 0; i < listeners; ++i) {
    subscribe_events request;
    request.session = session;
    request.subscriber = self->spawn<caf::linked>(listen, all, event_offset{-1});
    self->request(directory, caf::infinite, std::move(request))
        .then(
            [on_answer, listeners](const result<subscribed>& given) {
              on_answer(given ? result<listeners_ready>(listeners_ready{listeners})
                              : result<listeners_ready>(given.failure()));
            },
            [on_answer](const caf::error&) {
              on_answer(error{error_code::internal, "a subscription was not answered"});
            });
  }
}

} // namespace colloquy::load
