#include "bench/load/actor_client.hpp"

#include "actors/session_interface.hpp"
#include "bench/load/event_listeners.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <string>
#include <type_traits>

namespace colloquy::load {
namespace {

using namespace std::chrono_literals;

constexpr auto sleep_limit = 60s;
constexpr auto sleep_poll = 5ms;

/// Of the status event that a turn's start and end write.
constexpr std::size_t turn_bytes = limits::event_overhead_bytes + 256;

std::size_t cost_of(const std::vector<event_input>& events, std::size_t bytes) {
  for (const auto& each : events)
    bytes += each.cost_bytes();
  return bytes;
}

} // namespace

actor_client::actor_client(caf::event_based_actor* self, const actors::service& service, std::size_t tenants)
  : self_(self)
  , service_(service) {
  for (std::size_t i = 0; i < tenants; ++i)
    tenants_.push_back(tenant_id::parse("bench-" + std::to_string(i)).value_or(tenant_id()));
}

/// Without a timeout of CAF's for each, whose clock would be the most costly part: the run watches over all of them.
template <class To, class Request, class Reply>
void actor_client::send(const To& to, Request request, answer<Reply> then) {
  auto shared = std::make_shared<answer<Reply>>(std::move(then));
  self_->request(to, caf::infinite, std::move(request))
      .then([shared](result<Reply>& given) { (*shared)(given); },
            [shared](const caf::error&) {
              result<Reply> gone = error{error_code::internal, "a request was not answered: who was asked has died"};
              (*shared)(gone);
            });
}

template <class Request>
bool actor_client::reserve(Request& request) {
  constexpr auto more = std::is_same_v<Request, append_events> ? 0 : turn_bytes;
  request.reservation = byte_reservation::take(service_.budget(), cost_of(request.events, more));
  return request.reservation != nullptr;
}

void actor_client::ask(create_session request, answer<session_record> then) {
  send(service_.directory(), std::move(request), std::move(then));
}

void actor_client::ask(append_events request, answer<appended> then) {
  if (reserve(request))
    return send(service_.directory(), std::move(request), std::move(then));
  result<appended> refused = error{error_code::overloaded, "too much is accepted and not yet durable"};
  then(refused);
}

void actor_client::ask(read_history request, answer<history_page> then) {
  send(service_.directory(), std::move(request), std::move(then));
}

void actor_client::ask(read_events request, answer<event_page> then) {
  send(service_.directory(), std::move(request), std::move(then));
}

void actor_client::ask(start_turn request, answer<granted_turn> then) {
  if (reserve(request))
    return send(service_.directory(), std::move(request), std::move(then));
  result<granted_turn> refused = error{error_code::overloaded, "too much is accepted and not yet durable"};
  then(refused);
}

void actor_client::ask(end_turn request, answer<turn_record> then) {
  if (reserve(request))
    return send(service_.directory(), std::move(request), std::move(then));
  result<turn_record> refused = error{error_code::overloaded, "too much is accepted and not yet durable"};
  then(refused);
}

void actor_client::ask(insert_documents request, answer<documents_inserted> then) {
  send(service_.documents(), std::move(request), std::move(then));
}

void actor_client::ask(find_document request, answer<found_document> then) {
  send(service_.documents(), std::move(request), std::move(then));
}

void actor_client::ask(update_document request, answer<document_updated> then) {
  send(service_.documents(), std::move(request), std::move(then));
}

void actor_client::lease(const tenant_id& tenant, answer<lease_taken> then) {
  actors::lease_connection request;
  request.purpose = "bench";
  request.tenant = tenant.text();
  send<actors::pool_control_actor, actors::lease_connection, actors::leased_connection>(
      service_.pool(), std::move(request), [this, then = std::move(then)](result<actors::leased_connection>& given) {
        if (!given) {
          result<lease_taken> refused = given.failure();
          return then(refused);
        }
        self_->send(service_.pool(), actors::end_lease{given->lease});
        result<lease_taken> taken = lease_taken{};
        then(taken);
      });
}

void actor_client::listen(const session_key& session, std::size_t listeners, std::function<void(event_offset)> heard,
                          answer<listeners_ready> then) {
  listen_as_actors(self_, service_.directory(), session, listeners, std::move(heard), std::move(then));
}

void actor_client::put_to_sleep(const std::vector<session_key>& sessions, answer<std::size_t> then) {
  auto wanted = std::make_shared<std::vector<session_key>>(sessions);
  send<directory_actor, get_health, service_health>(
      service_.directory(), get_health{},
      [this, wanted, then = std::move(then)](result<service_health>& before) mutable {
        if (!before) {
          result<std::size_t> failed = before.failure();
          return then(failed);
        }
        const auto directory = caf::actor_cast<caf::actor>(service_.directory());
        for (const auto& each : *wanted)
          self_->send(directory, actors::session_finished{each});
        const auto others = before->sessions_resident - std::min(before->sessions_resident, wanted->size());
        look_whether_asleep(others, steady::now() + sleep_limit, std::move(then));
      });
}

void actor_client::look_whether_asleep(std::size_t others, steady::time_point until, answer<std::size_t> then) {
  send<directory_actor, get_health, service_health>(
      service_.directory(), get_health{},
      [this, others, until, then = std::move(then)](result<service_health>& health) {
        result<std::size_t> awake =
            health ? result<std::size_t>(health->sessions_resident - others) : result<std::size_t>(health.failure());
        if (!health || health->sessions_resident <= others || steady::now() > until) {
          if (health && health->sessions_resident <= others)
            awake = std::size_t{0};
          return then(awake);
        }
        self_->delayed_send(self_, sleep_poll,
                            to_be_done{[this, others, until, then] { look_whether_asleep(others, until, then); }});
      });
}

void actor_client::flush_all(answer<flushed> then) {
  send(service_.directory(), flush{}, std::move(then));
}

} // namespace colloquy::load
