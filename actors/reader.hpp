// The reader: durable events, straight from PostgreSQL.
//
// Accepts
//   read_events -> result<event_page>  at most one page, oldest first. Errors: not_found, invalid_request,
//                                      database_unavailable, deadline_exceeded.
// Ordering: none between requests; several are under way at once on the pool's shared connections.
// State it owns: none but the requests under way, a bounded number.
// Death: what was under way is answered as caf::error; the directory starts another one.
#pragma once

#include "actors/pool_interface.hpp"
#include "messages/directory_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>

namespace colloquy::actors {

using reader_actor = caf::typed_actor<caf::replies_to<read_events>::with<result<event_page>>>;

class reader : public reader_actor::base {
public:
  reader(caf::actor_config& config, supervisor_actor supervisor, std::chrono::milliseconds request_timeout);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  caf::typed_response_promise<result<event_page>> read(const read_events& request);

  supervisor_actor supervisor_;
  const std::chrono::milliseconds request_timeout_;
  std::size_t under_way_ = 0;
};

} // namespace colloquy::actors
