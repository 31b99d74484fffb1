// Asks the service in this process, from an actor of the same system, as a host does.
#pragma once

#include "actors/service.hpp"
#include "bench/load/load_client.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace colloquy::load {

/// To the actor itself: something to be done on its thread, or later.
struct to_be_done {
  std::function<void()> what;
};

} // namespace colloquy::load

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::load::to_be_done)

namespace colloquy::load {

class actor_client : public load_client {
public:
  /// `self` is the actor on whose thread all of it happens, and does what comes as to_be_done; it and the service must
  /// outlive this.
  actor_client(caf::event_based_actor* self, const actors::service& service, std::size_t tenants);

  std::size_t tenants() const override { return tenants_.size(); }
  tenant_id tenant(std::size_t number) const override { return tenants_[number]; }

  void ask(create_session request, answer<session_record> then) override;
  void ask(append_events request, answer<appended> then) override;
  void ask(read_history request, answer<history_page> then) override;
  void ask(read_events request, answer<event_page> then) override;
  void ask(start_turn request, answer<granted_turn> then) override;
  void ask(end_turn request, answer<turn_record> then) override;
  void ask(insert_documents request, answer<documents_inserted> then) override;
  void ask(find_document request, answer<found_document> then) override;
  void ask(update_document request, answer<document_updated> then) override;
  void lease(const tenant_id& tenant, answer<lease_taken> then) override;
  void listen(const session_key& session, std::size_t listeners, std::function<void(event_offset)> heard,
              answer<listeners_ready> then) override;
  void put_to_sleep(const std::vector<session_key>& sessions, answer<std::size_t> then) override;
  void flush_all(answer<flushed> then) override;

private:
  template <class To, class Request, class Reply>
  void send(const To& to, Request request, answer<Reply> then);
  /// Takes what the events cost of the budget, as every caller does; false if there is none left.
  template <class Request>
  bool reserve(Request& request);
  void look_whether_asleep(std::size_t others, steady::time_point until, answer<std::size_t> then);

  caf::event_based_actor* self_;
  const actors::service& service_;
  std::vector<tenant_id> tenants_;
};

} // namespace colloquy::load
