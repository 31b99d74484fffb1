#include "tests/support/fake_postgres.hpp"

#include <caf/send.hpp>

#include <algorithm>
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

/// Of what the service does for itself, beside sessions and their writer.
bool fake_postgres::is_upkeep(const db::unit& unit) {
  const std::string_view first = unit.calls.front().what->name;
  return first == "as_system" || first.ends_with("_process") || first == "read_processes";
}

std::optional<db_failure> fake_postgres::next_failure(const db::unit& unit) {
  for (const auto& call : unit.calls)
    if (auto made = failures_of.find(call.what->name); made != failures_of.end() && !made->second.empty()) {
      auto failure = std::move(made->second.front());
      made->second.pop_front();
      return failure;
    }
  if (failures.empty() || is_upkeep(unit))
    return std::nullopt;
  auto failure = std::move(failures.front());
  failures.pop_front();
  return failure;
}

db::unit_outcome fake_postgres::execute(const db::unit& unit) {
  if (auto failure = next_failure(unit))
    return {{}, std::move(failure)};
  tables_.now = now();
  fake_tables copy; // a transaction
  const bool writes = std::string_view(unit.calls.front().what->name) != "set_tenants";
  if (writes)
    copy = tables_;
  db::unit_outcome outcome;
  for (const auto& call : unit.calls) {
    ++statements_[call.what->name];
    db::rows answer;
    if (auto failure = (writes ? copy : tables_).apply(call, poison, answer))
      return {{}, std::move(failure)};
    if (std::string_view(call.what->name).starts_with("read_log") || std::string_view(call.what->name) == "read_fork" ||
        std::string_view(call.what->name) == "read_view")
      rows_read_ += static_cast<std::size_t>(answer.count());
    outcome.results.push_back(std::move(answer));
  }
  if (!writes)
    return outcome;
  if (std::string_view(unit.calls.front().what->name) == "begin_batch") {
    batch_sizes_.push_back(events_in(copy) - events_in(tables_));
    ++batches_committed_;
  }
  tables_ = std::move(copy);
  return outcome;
}

std::size_t fake_postgres::events_in(const fake_tables& tables) {
  std::size_t count = 0;
  for (const auto& [id, log] : tables.logs)
    count += log.size();
  return count;
}

void fake_postgres::take_over() {
  for (auto& [process, writer] : tables_.writers)
    ++writer.epoch;
}

void fake_postgres::take_over_shards() {
  take_over();
  for (auto& [id, process] : tables_.processes)
    process.is_lost = true;
  const auto other = process_id::make().bytes;
  tables_.processes[other] = {
      timestamp::max() - std::chrono::hours{1}, false, false, {"elsewhere", db::encode_int8(1), db::encode_int8(1)}};
  std::fill(tables_.shards.begin(), tables_.shards.end(), other);
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

class fake_supervisor : public fake_supervisor_actor::base {
public:
  fake_supervisor(caf::actor_config& config, fake_pool* pool)
    : fake_supervisor_actor::base(config)
    , pool_(pool) {
    set_down_handler([this](const caf::down_msg& down) {
      if (pool_->leaseholder_ && down.source == pool_->leaseholder_)
        end_lease();
    });
  }

  behavior_type make_behavior() override {
    return {[this](actors::run_unit& request) {
              if (!pool_->is_away)
                note_wake(*request.work); // a promise takes the sender away
              auto answer = make_response_promise<db::unit_outcome>();
              const bool is_held = !pool_->reads_at_once && !fake_postgres::is_upkeep(*request.work);
              if (pool_->is_away) {
                answer.deliver(db::unit_outcome{{}, db_failure{failure_kind::wait, "", "no connection"}});
              } else if (is_held) {
                pool_->reads_.push_back({answer, *request.work});
              } else {
                answer.deliver(pool_->run(*request.work));
              }
              return answer;
            },
            [this](const answer_held& told) { answer_read(told); },
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
  void answer_read(const answer_held& told) {
    if (told.index >= pool_->reads_.size())
      return;
    const auto at = pool_->reads_.begin() + static_cast<std::ptrdiff_t>(told.index);
    auto read = std::move(*at);
    pool_->reads_.erase(at);
    read.answer.deliver(told.how == fault::none ? pool_->run(read.work) : lost());
  }

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
  supervisor_ = system.spawn<fake_supervisor>(this);
  return caf::actor_cast<actors::supervisor_actor>(supervisor_);
}

bool fake_pool::answer_read(std::size_t index, fault how) {
  if (index >= reads_.size())
    return false;
  caf::anon_send(supervisor_, answer_held{how, index});
  return true;
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
