#include "tests/support/fake_postgres.hpp"

#include <caf/send.hpp>

#include <memory>
#include <optional>
#include <string_view>

namespace colloquy::test {
namespace {

using db::db_failure;
using db::failure_kind;

} // namespace

const std::vector<stored_event>& fake_postgres::log(session_id id) const {
  static const std::vector<stored_event> none;
  const auto found = tables_.logs.find(id.bytes); // a session's own log has its id
  return found == tables_.logs.end() ? none : found->second;
}

std::int64_t fake_postgres::turn_count(session_id id) const {
  const auto found = tables_.sessions.find(id.bytes);
  return found == tables_.sessions.end() ? -1 : found->second.turn_count;
}

std::int64_t fake_postgres::total_tokens(session_id id) const {
  const auto found = tables_.sessions.find(id.bytes);
  return found == tables_.sessions.end() ? -1 : found->second.total_tokens;
}

std::string fake_postgres::turn_status(session_id id, std::int64_t number) const {
  const auto found = tables_.sessions.find(id.bytes);
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

  fake_tables copy; // a transaction
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
    batch_sizes_.push_back(events_in(copy) - events_in(tables_));
    tables_ = std::move(copy);
    ++batches_committed_;
  }
  return outcome;
}

std::size_t fake_postgres::events_in(const fake_tables& tables) {
  std::size_t count = 0;
  for (const auto& [id, log] : tables.logs)
    count += log.size();
  return count;
}

db::unit_outcome fake_postgres::claim(const db::statement_call& call) {
  const auto process = db::decode_uuid(*call.parameters[0]);
  const auto expected = db::decode_int8(*call.parameters[2]);
  if (expected == 0 && process != writer_) { // a process that begins anew
    writer_ = process;
    epoch_ = 0;
    tables_.seq = 0;
  }
  if (expected != epoch_)
    return {{},
            db_failure{expected == 0 ? failure_kind::data : failure_kind::fence, expected == 0 ? "23505" : "CQ001",
                       "claimed by another"}};
  ++epoch_;
  return {{make_rows({{db::encode_int8(epoch_), db::encode_int8(tables_.seq), db::encode_int4(42)}}, 3)}, {}};
}

std::optional<db_failure> fake_postgres::apply(const db::statement_call& call, fake_tables& to, db::rows& answer) {
  const std::string_view name = call.what->name;
  if (name == "begin_batch") {
    const auto epoch = db::decode_int8(*call.parameters[2]);
    const auto seq = db::decode_int8(*call.parameters[3]);
    if (epoch != epoch_ || seq != to.seq + 1 || db::decode_uuid(*call.parameters[0]) != writer_)
      return db_failure{failure_kind::fence, "CQ001", "out of the chain"};
    to.seq = seq;
    return std::nullopt;
  }
  return to.apply(call, poison, answer);
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
