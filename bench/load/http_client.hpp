// Asks a service over HTTP.
#pragma once

#include "bench/load/http_exchanges.hpp"
#include "bench/load/load_client.hpp"

#include <string>
#include <unordered_map>
#include <vector>

namespace colloquy::load {

class http_client : public load_client {
public:
  /// A tenant for each key; without any, the one of whoever asks from the same machine.
  http_client(http_exchanges& exchanges, std::vector<std::string> keys);

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
  /// The reply's JSON through `read`, or the error that it names.
  template <class T, class Read>
  void call(http_exchanges::request wanted, answer<T> then, Read read);
  /// Looks at a gauge of the metrics until it is at most that, for a while; gives what it was last.
  void wait_for_metric(std::string name, double at_most, steady::time_point until,
                       std::function<void(result<double>)> then);

  const std::string& key_of(const tenant_id& tenant) const { return keys_.at(tenant.text()); }

  http_exchanges& exchanges_;
  std::vector<tenant_id> tenants_;
  std::unordered_map<std::string, std::string> keys_; ///< by tenant
};

} // namespace colloquy::load
