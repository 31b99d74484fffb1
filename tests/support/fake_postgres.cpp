#include "tests/support/fake_postgres.hpp"

#include <caf/send.hpp>
#include <libpq-fe.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

namespace colloquy::test {
namespace {

using db::db_failure;
using db::failure_kind;

/// Binary rows as libpq would hold them.
db::rows make_rows(const std::vector<std::vector<std::optional<std::string>>>& values, int columns) {
  std::shared_ptr<PGresult> result(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK), PQclear);
  std::vector<PGresAttDesc> attributes(static_cast<std::size_t>(columns));
  char name[] = "column";
  for (auto& attribute : attributes) {
    attribute = {};
    attribute.name = name;
    attribute.format = 1;
  }
  PQsetResultAttrs(result.get(), columns, attributes.data());
  for (std::size_t row = 0; row < values.size(); ++row)
    for (std::size_t column = 0; column < values[row].size(); ++column) {
      const auto& value = values[row][column];
      std::string copy = value.value_or("");
      PQsetvalue(result.get(), static_cast<int>(row), static_cast<int>(column), value ? copy.data() : nullptr,
                 value ? static_cast<int>(copy.size()) : -1);
    }
  return db::rows(std::shared_ptr<const pg_result>(result));
}

/// The elements of a binary array; none for a null element. An empty array stands for nulls only.
std::vector<std::optional<std::string>> elements(const std::optional<std::string>& parameter) {
  std::vector<std::optional<std::string>> out;
  std::string_view bytes = parameter.value();
  if (db::decode_int4(bytes) == 0)
    return out;
  const auto count = db::decode_int4(bytes.substr(12));
  bytes.remove_prefix(20);
  for (int i = 0; i < count; ++i) {
    const auto length = db::decode_int4(bytes);
    bytes.remove_prefix(4);
    if (length < 0) {
      out.emplace_back();
      continue;
    }
    out.emplace_back(bytes.substr(0, static_cast<std::size_t>(length)));
    bytes.remove_prefix(static_cast<std::size_t>(length));
  }
  return out;
}

template <class Elements>
std::optional<std::string> at(const Elements& list, std::size_t i) {
  return i < list.size() ? list[i] : std::nullopt;
}

} // namespace

const std::vector<stored_event>& fake_postgres::log(session_id id) const {
  static const std::vector<stored_event> none;
  auto found = tables_.sessions.find(id.bytes);
  return found == tables_.sessions.end() ? none : found->second.events;
}

std::int64_t fake_postgres::turn_count(session_id id) const {
  auto found = tables_.sessions.find(id.bytes);
  return found == tables_.sessions.end() ? -1 : found->second.record.turn_count;
}

std::int64_t fake_postgres::total_tokens(session_id id) const {
  auto found = tables_.sessions.find(id.bytes);
  return found == tables_.sessions.end() ? -1 : found->second.record.total_tokens;
}

std::string fake_postgres::turn_status(session_id id, std::int64_t number) const {
  auto found = tables_.sessions.find(id.bytes);
  if (found == tables_.sessions.end() || !found->second.turns.contains(number))
    return "";
  return std::string(to_string(found->second.turns.at(number).status));
}

db::unit_outcome fake_postgres::execute(const db::unit& unit) {
  if (!failures.empty()) {
    auto failure = std::move(failures.front());
    failures.pop_front();
    return {{}, std::move(failure)};
  }
  const std::string_view first = unit.calls.front().what->name;
  if (first == "claim_writer")
    return claim(unit.calls.front());

  tables copy; // a transaction: batches are small in tests
  const bool writes = first == "begin_batch";
  if (writes)
    copy = tables_;
  db::unit_outcome outcome;
  for (const auto& call : unit.calls) {
    db::rows answer;
    if (auto failure = apply(call, writes ? copy : tables_, answer))
      return {{}, std::move(failure)};
    outcome.results.push_back(std::move(answer));
  }
  if (writes) {
    std::size_t before = 0, after = 0;
    for (const auto& [id, row] : tables_.sessions)
      before += row.events.size();
    for (const auto& [id, row] : copy.sessions)
      after += row.events.size();
    batch_sizes_.push_back(after - before);
    tables_ = std::move(copy);
    ++batches_committed_;
  }
  return outcome;
}

db::unit_outcome fake_postgres::claim(const db::statement_call& call) {
  const auto expected = db::decode_int8(*call.parameters[2]);
  if (expected != epoch_)
    return {{},
            db_failure{expected == 0 ? failure_kind::data : failure_kind::fence, expected == 0 ? "23505" : "CQ001",
                       "claimed by another"}};
  ++epoch_;
  return {{make_rows({{db::encode_int8(epoch_), db::encode_int8(tables_.seq), db::encode_int4(42)}}, 3)}, {}};
}

std::optional<db_failure> fake_postgres::apply(const db::statement_call& call, tables& to, db::rows& answer) {
  const std::string_view name = call.what->name;
  if (name == "begin_batch") {
    const auto epoch = db::decode_int8(*call.parameters[2]);
    const auto seq = db::decode_int8(*call.parameters[3]);
    if (epoch != epoch_ || seq != to.seq + 1)
      return db_failure{failure_kind::fence, "CQ001", "out of the chain"};
    to.seq = seq;
  } else if (name == "insert_sessions") {
    answer = apply_sessions(call, to);
  } else if (name == "insert_events") {
    return apply_events(call, to);
  } else if (name == "upsert_turns") {
    apply_turns(call, to);
  } else if (name == "count_turns") {
    const auto ids = elements(call.parameters[1]);
    const auto turns = elements(call.parameters[2]);
    const auto tokens = elements(call.parameters[3]);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto& record = to.sessions.at(db::decode_uuid(*ids[i])).record;
      record.turn_count += db::decode_int8(*turns[i]);
      record.total_tokens += db::decode_int8(*tokens[i]);
    }
  } else if (name == "read_session") {
    answer = read_session(call);
  } else if (name == "read_log") {
    answer = read_log(call);
  } else if (name == "session_exists") {
    const bool found = tables_.sessions.contains(db::decode_uuid(*call.parameters[1]));
    answer = make_rows(found ? std::vector<std::vector<std::optional<std::string>>>{{db::encode_int4(1)}}
                             : std::vector<std::vector<std::optional<std::string>>>{},
                       1);
  }
  return std::nullopt;
}

db::rows fake_postgres::apply_sessions(const db::statement_call& call, tables& to) {
  std::vector<std::vector<std::optional<std::string>>> made;
  const auto tenants = elements(call.parameters[0]);
  const auto ids = elements(call.parameters[1]);
  const auto users = elements(call.parameters[3]);
  const auto externals = elements(call.parameters[5]);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto id = db::decode_uuid(*ids[i]);
    if (auto external = at(externals, i)) {
      if (to.external_ids.contains({*tenants[i], *external}))
        continue;
      to.external_ids[{*tenants[i], *external}] = id;
    }
    auto& row = to.sessions[id];
    row.record.key = {*tenant_id::parse(*tenants[i]), session_id{id}};
    row.record.log = log_id{id};
    row.record.user_id = *users[i];
    row.record.external_id = at(externals, i);
    made.push_back({ids[i]});
  }
  return make_rows(made, 1);
}

std::optional<db_failure> fake_postgres::apply_events(const db::statement_call& call, tables& to) {
  const auto logs = elements(call.parameters[1]);
  const auto offsets = elements(call.parameters[2]);
  const auto kinds = elements(call.parameters[4]);
  const auto data = elements(call.parameters[12]);
  for (std::size_t i = 0; i < logs.size(); ++i) {
    if (data[i]->find(poison) != std::string::npos)
      return db_failure{failure_kind::data, "23514", "refused"};
    auto& events = to.sessions.at(db::decode_uuid(*logs[i])).events;
    const auto offset = db::decode_int8(*offsets[i]);
    for (const auto& entry : events)
      if (entry.offset == offset)
        return db_failure{failure_kind::data, "23505", "duplicate offset"};
    events.push_back({offset, *kinds[i], *data[i]});
  }
  return std::nullopt;
}

void fake_postgres::apply_turns(const db::statement_call& call, tables& to) {
  const auto sessions = elements(call.parameters[1]);
  const auto numbers = elements(call.parameters[2]);
  const auto ids = elements(call.parameters[3]);
  const auto states = elements(call.parameters[4]);
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    turn_record turn;
    turn.number = db::decode_int8(*numbers[i]);
    turn.id = turn_id{db::decode_uuid(*ids[i])};
    turn.status = parse_turn_status(*states[i]).value();
    to.sessions.at(db::decode_uuid(*sessions[i])).turns[turn.number] = turn;
  }
}

db::rows fake_postgres::read_session(const db::statement_call& call) const {
  auto found = tables_.sessions.find(db::decode_uuid(*call.parameters[1]));
  if (found == tables_.sessions.end() || found->second.record.key.tenant.text() != *call.parameters[0])
    return make_rows({}, 22);
  const auto& [record, events, turns] = found->second;
  event_offset last = -1;
  for (const auto& entry : events)
    last = std::max(last, entry.offset);
  const auto none = std::nullopt;
  std::vector<std::optional<std::string>> row{db::encode_uuid(record.log.bytes),
                                              record.user_id,
                                              none,
                                              record.external_id,
                                              none,
                                              "active",
                                              db::encode_timestamp({}),
                                              db::encode_timestamp({}),
                                              none,
                                              db::encode_int8(record.turn_count),
                                              db::encode_int8(record.total_tokens),
                                              db::encode_int8(1),
                                              "{}",
                                              db::encode_int8(last)};
  if (turns.empty()) {
    row.resize(22);
  } else {
    const auto& turn = turns.rbegin()->second;
    row.insert(row.end(), {db::encode_int8(turn.number), db::encode_uuid(turn.id.bytes),
                           std::string(to_string(turn.status)), none, db::encode_timestamp({}), none, none, none});
  }
  return make_rows({row}, 22);
}

db::rows fake_postgres::read_log(const db::statement_call& call) const {
  std::vector<std::vector<std::optional<std::string>>> out;
  const auto none = std::nullopt;
  const auto after = db::decode_int8(*call.parameters[2]);
  for (const auto& entry : log(session_id{db::decode_uuid(*call.parameters[1])}))
    if (entry.offset > after)
      out.push_back({db::encode_int8(entry.offset), db::encode_timestamp({}), entry.kind, none, none, none, none, none,
                     none, none, entry.data});
  return make_rows(out, 11);
}

// --- the pool --------------------------------------------------------------------------------------------------------

namespace {
db::unit_outcome lost() {
  return {{}, db_failure{failure_kind::connection_lost, "", "connection lost"}};
}
} // namespace

class fake_connection : public fake_connection_actor::base {
public:
  fake_connection(caf::actor_config& config, fake_pool* pool, std::shared_ptr<fake_pool::line> line)
    : fake_connection_actor::base(config)
    , pool_(pool)
    , line_(std::move(line)) {}

  behavior_type make_behavior() override {
    return {[this](actors::run_unit& request) {
              auto answer = make_response_promise<db::unit_outcome>();
              if (line_->is_broken)
                answer.deliver(lost());
              else if (line_->is_gone)
                answer.deliver(db::unit_outcome{{}, db_failure{failure_kind::wait, "", "the connection is gone"}});
              else if (pool_->answers_at_once && line_->units.empty())
                answer.deliver(pool_->run(*request.work));
              else
                line_->units.push_back({answer, *request.work});
              return answer;
            },
            [this](const answer_held& told) { answer(told.how); }};
  }

  void on_exit() override { break_line(); }

private:
  void answer(fault how) {
    --line_->told;
    if (line_->units.empty())
      return;
    auto unit = std::move(line_->units.front());
    line_->units.pop_front();
    auto outcome = how == fault::lost_before ? lost() : pool_->run(unit.work);
    unit.answer.deliver(how == fault::none ? std::move(outcome) : lost());
    if (how != fault::none)
      break_line(); // what is behind it goes with it, unread
  }

  void break_line() {
    line_->is_broken = true;
    for (auto& each : line_->units)
      each.answer.deliver(lost());
    line_->units.clear();
  }

  fake_pool* pool_;
  std::shared_ptr<fake_pool::line> line_;
};

class fake_supervisor : public actors::supervisor_actor::base {
public:
  fake_supervisor(caf::actor_config& config, fake_pool* pool)
    : actors::supervisor_actor::base(config)
    , pool_(pool) {
    set_down_handler([this](const caf::down_msg& down) {
      if (pool_->leaseholder_ && down.source == pool_->leaseholder_)
        end_lease();
    });
  }

  behavior_type make_behavior() override {
    return {[this](actors::run_unit& request) -> db::unit_outcome {
              if (pool_->is_away)
                return {{}, db_failure{failure_kind::wait, "", "no connection"}};
              note_wake(*request.work);
              return pool_->run(*request.work);
            },
            [this](const actors::lease_connection& wanted) -> result<actors::leased_connection> {
              if (pool_->is_away)
                return error{error_code::database_unavailable, "no connection"};
              if (pool_->connection_ && !pool_->current_->is_broken)
                ++pool_->leases_kept_;
              ++pool_->leases_;
              pool_->leaseholder_ = current_sender();
              monitor(caf::actor_cast<caf::actor_addr>(pool_->leaseholder_));
              // Ending the old backend: what it has not run by now it never will.
              pool_->current_->is_broken = true;
              if (pool_->connection_)
                send_exit(pool_->connection_, caf::exit_reason::user_shutdown);
              pool_->current_ = std::make_shared<fake_pool::line>();
              pool_->connection_ = spawn<fake_connection>(pool_, pool_->current_);
              pool_->current_lease_ = pool_->leases_;
              pool_->holder_ = wanted.holder;
              return actors::leased_connection{caf::actor_cast<actors::connection_actor>(pool_->connection_), 42,
                                               pool_->current_lease_};
            },
            [this](const actors::end_lease& ended) {
              if (ended.lease == pool_->current_lease_)
                end_lease();
            }};
  }

private:
  void end_lease() {
    if (pool_->connection_)
      send_exit(pool_->connection_, caf::exit_reason::user_shutdown);
    pool_->current_->is_broken = true;
  }

  void note_wake(const db::unit& work) {
    const auto& call = work.calls.back();
    if (std::string_view(call.what->name) != "read_session")
      return;
    auto& waking = pool_->wakes_[db::decode_uuid(*call.parameters[1])];
    ++waking.count;
    waking.session = current_sender();
  }

  fake_pool* pool_;
};

actors::supervisor_actor fake_pool::spawn(caf::actor_system& system) {
  return caf::actor_cast<actors::supervisor_actor>(system.spawn<fake_supervisor>(this));
}

void fake_pool::lose_backend(bool tell_now) {
  if (!current_->units.empty())
    return;
  current_->is_gone = true;
  if (tell_now)
    tell_of_loss();
}

void fake_pool::tell_of_loss() {
  if (current_->is_gone && holder_)
    caf::anon_send(holder_, actors::lease_lost{current_lease_, "the backend is gone"});
}

std::size_t fake_pool::held() const {
  return current_->units.size();
}

bool fake_pool::answer_next(fault how) {
  if (current_->units.size() <= current_->told)
    return false;
  ++current_->told;
  caf::anon_send(connection_, answer_held{how});
  return true;
}

} // namespace colloquy::test
