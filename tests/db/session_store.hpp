// A migrated database with a writer of our own, for tests of what sessions write and read: the units of the product on
// a connection of the product.
#pragma once

#include "db/batch.hpp"
#include "db/session_queries.hpp"
#include "tests/db/driven_connection.hpp"
#include "tests/support/catch.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

inline session_key new_key(const std::string& tenant = "acme") {
  return {tenant_id::parse(tenant).value(), session_id::make()};
}

using draft = std::shared_ptr<db::session_write>;

inline draft write_to(const session_key& key) {
  auto write = std::make_shared<db::session_write>();
  write->session = key;
  write->log = log_id{key.id.bytes};
  return write;
}

/// A session of ada's, made long ago enough to be told from now.
inline session_record record_of(const session_key& key) {
  session_record record;
  record.key = key;
  record.log = log_id{key.id.bytes};
  record.user_id = "ada";
  record.created_at = record.updated_at = timestamp{std::chrono::sys_days{std::chrono::year{2026} / 1 / 31}};
  return record;
}

inline draft making(session_record record) {
  auto write = write_to(record.key);
  write->row = std::make_shared<const session_record>(std::move(record));
  return write;
}
inline draft making(const session_key& key) {
  return making(record_of(key));
}

/// Gives a log its offsets and numbers of messages, as a session actor does.
class log_maker {
public:
  explicit log_maker(session_key key, event_offset first = 0, std::int64_t messages = 0)
    : key_(std::move(key))
    , next_(first)
    , messages_(messages) {}

  event make(event_kind kind, std::string data, turn_id turn = {}) {
    event entry;
    entry.kind = kind;
    entry.role = kind == event_kind::message ? message_role::user : message_role::none;
    entry.data = std::move(data);
    entry.offset = next_++;
    entry.turn = turn;
    entry.created_at =
        timestamp{std::chrono::sys_days{std::chrono::year{2026} / 2 / 1}} + std::chrono::seconds{entry.offset};
    entry.messages = messages_ += kind == event_kind::message ? 1 : 0;
    return entry;
  }
  /// So many messages "0", "1", ... named by their offset.
  draft messages(std::size_t count, turn_id turn = {}) {
    auto write = write_to(key_);
    std::vector<event> events;
    for (std::size_t i = 0; i < count; ++i)
      events.push_back(make(event_kind::message, std::to_string(next_), turn));
    write->events = std::make_shared<const std::vector<event>>(std::move(events));
    return write;
  }
  draft status(std::string data, turn_id turn = {}) {
    auto write = write_to(key_);
    write->events =
        std::make_shared<const std::vector<event>>(std::vector{make(event_kind::status, std::move(data), turn)});
    return write;
  }
  const session_key& key() const { return key_; }
  event_offset next() const { return next_; }
  std::int64_t messages_so_far() const { return messages_; }

private:
  session_key key_;
  event_offset next_;
  std::int64_t messages_;
};

inline db::turn_row turn_of(std::int64_t number, turn_status status = turn_status::running) {
  db::turn_row turn;
  turn.id = turn_id::make();
  turn.number = number;
  turn.status = status;
  turn.started_at = timestamp{std::chrono::sys_days{std::chrono::year{2026} / 2 / 1}};
  return turn;
}

class session_store {
public:
  explicit session_store(test_database made = test_database::make())
    : database(std::move(made))
    , connection(target_of(database)) {
    REQUIRE(connection.make_ready());
  }

  db::unit_outcome run(db::unit work) {
    connection.submit(++tag_, std::move(work.calls));
    return connection.outcome(tag_);
  }

  /// Commits the writes as one batch; whose rows were not made.
  std::vector<session_key> commit(const std::vector<db::session_write_ptr>& writes) {
    auto outcome = try_commit(writes);
    if (outcome.failure)
      FAIL("the batch failed: " << outcome.failure->message << " " << outcome.failure->sqlstate);
    return db::taken_external_ids(last_.sessions_result, outcome, writes);
  }
  /// One that may fail; then the next takes its place.
  db::unit_outcome try_commit(const std::vector<db::session_write_ptr>& writes) {
    if (epoch_ == 0) {
      const auto claim = db::decode_claim(run(db::claim_writer(process, 0, 0)));
      REQUIRE(claim);
      epoch_ = claim->epoch;
    }
    last_ = db::encode_batch({process, 0, epoch_, seq_ + 1}, writes);
    auto outcome = run(last_.statements);
    if (!outcome.failure)
      ++seq_;
    return outcome;
  }

  db::stored_session read(const session_key& key) {
    auto found = db::decode_session(key, run(db::read_session(key)));
    if (!found)
      FAIL("not read: " << found.failure().message);
    return std::move(found).value();
  }
  bool exists(const session_key& key) { return db::decode_session(key, run(db::read_session(key))).has_value(); }

  /// The data of what is read, joined by blanks.
  std::string read_log(const db::log_source& source, const db::log_part& part = {}) {
    const auto found = db::decode_log(run(db::read_log(source, part)));
    if (!found)
      return "failed: " + found.failure().message;
    std::string out;
    for (const auto& entry : *found)
      out += (out.empty() ? "" : " ") + entry.data;
    return out;
  }
  std::string read_log(const session_key& key, const db::log_part& part = {}) { return read_log(source_of(key), part); }
  static db::log_source source_of(const session_key& key, bool is_fork = false) {
    return {key.tenant, log_id{key.id.bytes}, is_fork};
  }
  std::string count(const std::string& table, const std::string& where = "true") {
    return database.value("SELECT count(*) FROM " + table + " WHERE " + where);
  }

  test_database database;
  driven_connection connection;
  process_id process = process_id::make();

private:
  std::uint64_t tag_ = 0;
  std::int64_t epoch_ = 0;
  std::int64_t seq_ = 0;
  db::encoded_batch last_;
};

} // namespace colloquy::test
