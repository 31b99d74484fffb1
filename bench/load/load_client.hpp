// How an operation reaches the service: as an actor's message in this process, or over HTTP. Either way what is asked
// are the requests of messages/, so a workload is written once.
//
// One thread: answers come on the thread that asked, later or before ask() returns, each exactly once.
#pragma once

#include "messages/document_requests.hpp"
#include "messages/requests.hpp"

#include <chrono>
#include <cstddef>
#include <functional>

namespace colloquy::load {

using steady = std::chrono::steady_clock;

template <class T>
using answer = std::function<void(result<T>&)>;

/// A backend of the pool for this caller alone, held for a moment and given back.
struct lease_taken {};

/// Subscribers of a session, each of which hears every event from now on.
struct listeners_ready {
  std::size_t listeners = 0;
};

class load_client {
public:
  load_client() = default;
  load_client(const load_client&) = delete;
  load_client& operator=(const load_client&) = delete;
  virtual ~load_client() = default;

  /// How many tenants there are to make sessions for: those that it has keys of, say. At least 1.
  virtual std::size_t tenants() const = 0;
  virtual tenant_id tenant(std::size_t number) const = 0;

  virtual void ask(create_session request, answer<session_record> then) = 0;
  virtual void ask(append_events request, answer<appended> then) = 0;
  virtual void ask(read_history request, answer<history_page> then) = 0;
  /// Durable ones; `data` of a message as it was appended.
  virtual void ask(read_events request, answer<event_page> then) = 0;
  virtual void ask(start_turn request, answer<granted_turn> then) = 0;
  virtual void ask(end_turn request, answer<turn_record> then) = 0;
  virtual void ask(insert_documents request, answer<documents_inserted> then) = 0;
  virtual void ask(find_document request, answer<found_document> then) = 0;
  virtual void ask(update_document request, answer<document_updated> then) = 0;

  /// Takes a backend and gives it back.
  virtual void lease(const tenant_id& tenant, answer<lease_taken> then) = 0;

  /// `heard` is called when all of them have got the event of an offset, once for each offset.
  virtual void listen(const session_key& session, std::size_t listeners, std::function<void(event_offset)> heard,
                      answer<listeners_ready> then) = 0;

  /// Puts sessions that nobody uses to sleep, as their idle timeout would; answered with how many are still awake.
  virtual void put_to_sleep(const std::vector<session_key>& sessions, answer<std::size_t> then) = 0;

  /// Everything accepted is durable.
  virtual void flush_all(answer<flushed> then) = 0;
};

} // namespace colloquy::load
