// The directory on the real pool, with a spy between them that knows the writer, so that a test can end it.
#pragma once

#include "actors/directory.hpp"
#include "actors/supervisor.hpp"
#include "tests/support/test_cluster.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace colloquy::test {

/// Who leased last: the writer. Set by an actor, read by the test.
class last_leaseholder {
public:
  void set(caf::strong_actor_ptr holder) {
    std::lock_guard lock(mutex_);
    holder_ = std::move(holder);
  }
  caf::actor get() const {
    std::lock_guard lock(mutex_);
    return caf::actor_cast<caf::actor>(holder_);
  }

private:
  mutable std::mutex mutex_;
  caf::strong_actor_ptr holder_;
};

class watched_pool : public actors::supervisor_actor::base {
public:
  watched_pool(caf::actor_config& config, actors::supervisor_actor real, std::shared_ptr<last_leaseholder> holder);
  behavior_type make_behavior() override;
  void on_exit() override;

private:
  actors::supervisor_actor real_;
  std::shared_ptr<last_leaseholder> holder_;
};

/// The parts of a service, each within reach. Sessions of many tenants; blocking calls.
class open_service {
public:
  explicit open_service(std::size_t batch_events_max = 2000);
  ~open_service();

  const test_database& database() const { return database_; }
  const directory_actor& directory() const { return directory_; }
  caf::actor_system& system() { return system_; }

  session_key make_session(const std::string& tenant_name);
  /// Returns when it is accepted. Each text is a message of its own, in one append.
  void append(const session_key& session, const std::vector<std::string>& texts);
  /// True once everything is durable.
  result<flushed> flush_all();
  /// The texts that were given to append, as PostgreSQL has them; offsets are checked to be gap-free.
  std::vector<std::string> stored(const session_key& session) const;

  void kill_writer();
  /// The backend that carries the batches; 0 if none has been claimed.
  int writer_backend() const;
  std::string writer_epoch() const { return database_.value("SELECT coalesce(max(epoch), 0) FROM writers"); }

private:
  test_database database_;
  caf::actor_system_config config_;
  caf::actor_system system_;
  std::shared_ptr<last_leaseholder> holder_ = std::make_shared<last_leaseholder>();
  actors::supervisor_actor supervisor_;
  actors::supervisor_actor watched_;
  directory_actor directory_;
};

/// Cuts every connection of this process to a PostgreSQL server's unix socket, as a network that fails would: without a
/// word, and without taking back what the server has not read yet.
void cut_database_sockets();

} // namespace colloquy::test
