// The tables of the model of the database (fake_postgres.hpp): what our statements do to them, by the statement's name.
// Values are kept as the binary parameters that they came as.
#pragma once

#include "db/statement.hpp"
#include "messages/clock.hpp"
#include "messages/event.hpp"
#include "messages/session.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace colloquy::test {

using column = std::optional<std::string>; ///< none: null
using columns = std::vector<column>;

/// Binary rows as libpq would hold them.
db::rows make_rows(const std::vector<columns>& values, int count);

/// The elements of a binary array; none for a null element. An empty array stands for nulls only.
columns elements(const column& parameter);

/// Nil for null.
inline uuid_bytes uuid_of(const column& value) {
  return value ? db::decode_uuid(*value) : uuid_bytes{};
}

enum session_columns {
  log_id_at,
  user,
  agent,
  external,
  title,
  metadata,
  created,
  expires,
  parent,
  fork_offset,
  lives
};
enum turn_columns { number, turn, state, trace, started, ended, lease, input, output, process, turn_log, first, count };
enum event_rest { created_at, role, of_turn, tokens, call_id, call_ids, source, trace_id, messages, author };

struct stored_event {
  event_offset offset = 0;
  std::string kind;
  std::string data;
  columns rest{}; ///< as event_rest names them
  std::string tenant{};
};

struct stored_turn {
  turn_status status = turn_status::running;
  columns row{}; ///< as upsert_turns has them: from number on
};

/// Whatever a batch may change. Copied for each transaction: batches are small in tests.
class fake_tables {
public:
  struct session_row {
    std::string tenant;
    columns row{};       ///< as insert_sessions has them: from log_id on
    columns described{}; ///< labels, mode, consumption_offsets; null: as they are unless somebody says otherwise
    column status = "active";
    column version{};
    std::int64_t turn_count = 0;
    std::int64_t total_tokens = 0;
    std::map<std::int64_t, stored_turn> turns{};
    std::map<std::string, std::string> participants{};
  };
  struct log_link {
    uuid_bytes parent{};
    event_offset offset = 0;
    std::int64_t messages = 0;
  };
  using key_place = std::tuple<std::string, uuid_bytes, std::string, std::string>;
  struct process_row {
    timestamp renewed{};
    bool has_ended = false; ///< cleanly
    bool is_lost = false;
    columns place{}; ///< machine, pid, started_ticks
    bool is_over() const { return has_ended || is_lost; }
  };
  struct writer_row {
    std::int64_t epoch = 0;
    std::int64_t seq = 0;
  };
  struct erasure_row {
    std::string tenant;
    uuid_bytes log{};
    std::int64_t turns = 0;
    std::int64_t participants = 0;
    std::int64_t steps = 0; ///< done
  };

  /// What the statement does, and its rows; or why not. `poison`: data that contains it is refused.
  std::optional<db::db_failure> apply(const db::statement_call& call, const std::string& poison, db::rows& answer);

  std::map<uuid_bytes, session_row> sessions;
  std::map<uuid_bytes, std::vector<stored_event>> logs; // in order of insertion
  std::map<uuid_bytes, log_link> links;
  std::map<std::pair<std::string, std::string>, uuid_bytes> external_ids;
  std::map<key_place, columns> keys; // fingerprint, first_offset, count, turn_id, made_session_id, created_at, reply
  std::map<uuid_bytes, erasure_row> erasures;                    // by session
  std::map<uuid_bytes, std::vector<event_range>> deleted_events; // by session, as they came
  std::set<uuid_bytes> rolled_back;                              // turns, which stay so when their session is erased
  std::map<uuid_bytes, writer_row> writers;                      // by process
  std::map<uuid_bytes, process_row> processes;
  std::vector<uuid_bytes> shards{1024}; // their owners; nil: free
  timestamp now{};                      // the server's clock
  std::int64_t erasure_steps = 1;       // that each erasure takes

private:
  std::optional<db::db_failure> insert_events(const db::statement_call& call, const std::string& poison);
  db::rows insert_sessions(const db::statement_call& call);
  void insert_creation_keys(const db::statement_call& call);
  void drop_unused_keys(const db::statement_call& call);
  void add_forks(const db::statement_call& call);
  void upsert_turns(const db::statement_call& call);
  void insert_keys(const db::statement_call& call);
  void change_participants(const db::statement_call& call, bool adds);
  void update_sessions(const db::statement_call& call);
  void count_turns(const db::statement_call& call);
  void delete_events(const db::statement_call& call);
  void fork_deleted_events(const db::statement_call& call);
  void begin_erasures(const db::statement_call& call);

  // fake_processes.cpp
  std::optional<db::db_failure> begin_batch(const db::statement_call& call);
  std::optional<db::db_failure> claim_writer(const db::statement_call& call, db::rows& answer);
  bool apply_ownership(std::string_view name, const db::statement_call& call, db::rows& answer);
  void end_process(const uuid_bytes& process);
  void take_free_shards(const db::statement_call& call);
  void raise_epochs_of(const uuid_bytes& process);

  // fake_sweeps.cpp
  bool apply_sweep(std::string_view name, const db::statement_call& call, db::rows& answer);
  db::rows find_sessions(const db::statement_call& call, bool is_expired) const;
  std::int64_t mark_expired(const db::statement_call& call);
  std::int64_t forget_keys(const db::statement_call& call);
  db::rows erase_step(const db::statement_call& call);
  std::int64_t erase_events(uuid_bytes log);
  std::int64_t forget_participant(const db::statement_call& call);
  std::int64_t forget_author(const db::statement_call& call);
  bool is_log_of_session(const uuid_bytes& log) const;
  event_offset last_offset_of(const uuid_bytes& log) const;

  bool apply_batch(std::string_view name, const db::statement_call& call, db::rows& answer);
  bool apply_read(std::string_view name, const db::statement_call& call, db::rows& answer);
  session_row* find(const column& tenant, const column& id);
  bool is_hidden(const stored_event& entry) const;
  /// The log with what it shares, by offset.
  std::vector<const stored_event*> whole_log(const uuid_bytes& log) const;
  db::rows read_session(const db::statement_call& call);
  db::rows read_log(const db::statement_call& call, bool newest_first) const;
  db::rows read_view(const db::statement_call& call) const;
  bool is_deleted(const column& session, event_offset offset) const;
  db::rows read_turns(const db::statement_call& call, bool by_id);
  db::rows find_stored_events(const db::statement_call& call) const;
  db::rows find_key(const db::statement_call& call) const;
  db::rows read_keys(const db::statement_call& call) const;
  db::rows find_fork_point(const db::statement_call& call) const;
  db::rows count_hidden(const db::statement_call& call, bool in_view) const;
  db::rows list_sessions(const db::statement_call& call, int variant) const;
  columns record_columns(const session_row& session) const;

  std::map<std::size_t, uuid_bytes> taken_; // shards of a taking that is under way, and who had them
};

} // namespace colloquy::test
