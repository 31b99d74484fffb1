// A model of the database for tests of actors without one: the writers' fence, logs, sessions and turns, with the
// failures of a real one made to order. It takes the very units that the product sends and answers as PostgreSQL does.
#pragma once

#include "actors/pool_interface.hpp"
#include "db/batch.hpp"
#include "messages/clock.hpp"
#include "messages/event.hpp"
#include "messages/session.hpp"
#include "tests/support/fake_tables.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::test {

/// Tables, and whatever connections there are. Not thread-safe: for the stepped system only.
class fake_postgres {
public:
  /// Runs a unit as one transaction.
  db::unit_outcome execute(const db::unit& unit);

  /// The log of a session, in order of insertion.
  const std::vector<stored_event>& log(session_id id) const;
  std::int64_t turn_count(session_id id) const;
  std::int64_t total_tokens(session_id id) const;
  std::string turn_status(session_id id, std::int64_t number) const;
  bool has_external_id(const std::string& tenant, const std::string& name) const {
    return tables_.external_ids.contains({tenant, name});
  }
  std::size_t batches_committed() const { return batches_committed_; }
  std::vector<std::size_t> batch_sizes() const { return batch_sizes_; }

  /// Data that contains this is refused as a constraint would.
  std::string poison = "\x01";
  /// The next units fail with this and nothing of them is done; what the service does for itself does not count.
  std::deque<db::db_failure> failures;
  /// The same for the next units that have a statement of this name.
  std::map<std::string, std::deque<db::db_failure>, std::less<>> failures_of;
  /// Another process takes the writers' rows.
  void take_over();
  /// Another process, which lives for ever, takes all that others had: rows and shards.
  void take_over_shards();
  /// How often a statement of this name was run.
  std::size_t count_of(const std::string& statement) const {
    return statements_.contains(statement) ? statements_.at(statement) : 0;
  }
  /// Rows that parts of logs were answered with.
  std::size_t rows_read() const { return rows_read_; }
  /// The server's clock.
  wall_clock now = system_time;
  /// The rows themselves: to look at, or to change as somebody else would.
  fake_tables& tables() { return tables_; }

  static bool is_upkeep(const db::unit& unit);

private:
  std::optional<db::db_failure> next_failure(const db::unit& unit);
  static std::size_t events_in(const fake_tables& tables);

  fake_tables tables_;
  std::map<std::string, std::size_t> statements_;
  std::size_t rows_read_ = 0;
  std::size_t batches_committed_ = 0;
  std::vector<std::size_t> batch_sizes_;
};

/// What a connection does with the oldest unit it has got, when the test says so.
enum class fault { none, lost_before, lost_after };

/// Test to connection: answer the oldest unit like this.
struct answer_held {
  fault how = fault::none;
  std::size_t index = 0; ///< of a read that is held
};

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::answer_held)

namespace colloquy::test {

using fake_connection_actor = actors::connection_actor::extend<caf::reacts_to<answer_held>>;
using fake_supervisor_actor = actors::supervisor_actor::extend<caf::reacts_to<answer_held>>;

/// The pool and its connections, for the stepped system. Leased connections hold their units until answer_next() or, if
/// `answers_at_once` is set, answer as they come.
class fake_pool {
public:
  explicit fake_pool(std::shared_ptr<fake_postgres> database)
    : database_(std::move(database)) {}

  actors::supervisor_actor spawn(caf::actor_system& system);

  bool answers_at_once = true;
  /// No connection can be had.
  bool is_away = false;
  /// If not set, what is asked of the pool for sessions and the catalog is held until answer_read().
  bool reads_at_once = true;

  /// Runs a read that is held, the oldest first, and answers it; false if there is none at that place.
  bool answer_read(std::size_t index = 0, fault how = fault::none);
  std::size_t reads_held() const { return reads_.size(); }

  /// Tells the leased connection to answer the oldest unit it holds, as soon as it runs; false if it holds none.
  bool answer_next(fault how = fault::none);
  /// The leased backend is gone while nothing is under way on it: from now on its connection refuses what it gets, as a
  /// real one does until its lease has ended. With `tell_now` its leaseholder is told; else by tell_of_loss().
  void lose_backend(bool tell_now = true);
  void tell_of_loss();
  std::size_t held() const;
  std::size_t leases() const { return leases_; }
  /// Leases asked for while the last one was still held.
  std::size_t leases_kept() const { return leases_kept_; }
  /// How often a session was read to be woken, and by which actor last: the session's, null if never.
  std::size_t wakes(session_id id) const { return wakes_.contains(id.bytes) ? wakes_.at(id.bytes).count : 0; }
  caf::actor woken(session_id id) const {
    return wakes_.contains(id.bytes) ? caf::actor_cast<caf::actor>(wakes_.at(id.bytes).session) : caf::actor{};
  }
  /// Who leased last: the writer.
  const caf::strong_actor_ptr& leaseholder() const { return leaseholder_; }

private:
  friend class fake_connection;
  friend class fake_supervisor;
  struct held_unit {
    caf::typed_response_promise<db::unit_outcome> answer;
    db::unit work;
  };
  struct line {
    std::deque<held_unit> units;
    std::size_t told = 0; // answers asked for and not yet given
    bool is_broken = false;
    bool is_gone = false; // and was so before the next unit came
  };

  struct waking {
    std::size_t count = 0;
    caf::strong_actor_ptr session;
  };

  db::unit_outcome run(const db::unit& work) { return database_->execute(work); }

  std::shared_ptr<fake_postgres> database_;
  fake_supervisor_actor supervisor_;
  std::deque<held_unit> reads_;
  fake_connection_actor connection_;
  std::shared_ptr<line> current_ = std::make_shared<line>();
  std::size_t leases_ = 0;
  std::size_t leases_kept_ = 0;
  actors::lease_id current_lease_ = 0;
  actors::leaseholder_actor holder_;
  std::map<uuid_bytes, waking> wakes_;
  caf::strong_actor_ptr leaseholder_;
};

} // namespace colloquy::test
