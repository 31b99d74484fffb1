// The writer's way back after a failure. See writer.hpp for the rules.
#include "actors/writer.hpp"

#include "actors/log_line.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds delay_first{20};
constexpr std::chrono::milliseconds delay_max{2000};

bool is_claim_conflict(const db::db_failure& failure) {
  return failure.kind == db::failure_kind::fence || failure.sqlstate == "23505";
}

} // namespace

void writer::acquire() {
  phase_ = phase::leasing;
  release_connection();
  const auto generation = ++connection_generation_;
  lease_connection wanted{"writer"};
  wanted.reusable = false;
  wanted.holder = caf::actor_cast<leaseholder_actor>(caf::actor_cast<writer_internal>(this));
  request(supervisor_, options_.lease_timeout, std::move(wanted))
      .then(
          [this, generation](result<leased_connection>& leased) {
            if (leased && generation != connection_generation_)
              send(supervisor_, end_lease{leased->lease, /*reusable=*/true}); // nobody wants it any more
            if (generation != connection_generation_)
              return;
            if (leased)
              return on_leased(*leased);
            spdlog::warn("the writer waits for a connection: {}", leased.failure().message);
            pause();
          },
          [this, generation](const caf::error&) {
            if (generation == connection_generation_)
              pause();
          });
}

void writer::on_leased(const leased_connection& leased) {
  connection_ = leased.connection;
  lease_ = leased.lease;
  phase_ = phase::claiming;
  if (ledger_->backend_pid != 0)
    end_old_backend();
  claim();
}

void writer::end_old_backend() {
  // Only to free what it holds sooner: the claim that follows in the same pipeline is what shuts it out.
  request(connection_, options_.batch_timeout, unit_of(db::end_backend(ledger_->backend_pid), "claim"))
      .then(
          [pid = ledger_->backend_pid](const db::unit_outcome& outcome) {
            if (outcome.failure)
              spdlog::warn("cannot end backend {}: {}", pid, outcome.failure->message);
          },
          [](const caf::error&) {});
}

void writer::claim() {
  ++ledger_->claims_unknown; // before it is sent: our successor must know of it too
  const auto generation = connection_generation_;
  request(connection_, options_.batch_timeout,
          unit_of(db::claim_writer(ledger_->process, ledger_->writer, ledger_->epoch), "claim"))
      .then(
          [this, generation](const db::unit_outcome& outcome) {
            if (generation == connection_generation_)
              on_claim(outcome);
          },
          [this, generation](const caf::error&) {
            if (generation == connection_generation_)
              on_claim({{}, db::db_failure{db::failure_kind::connection_lost, "", "the connection does not answer"}});
          });
}

void writer::on_claim(const db::unit_outcome& outcome) {
  if (outcome.failure) {
    const auto& failure = *outcome.failure;
    if (failure.kind != db::failure_kind::connection_lost)
      --ledger_->claims_unknown; // this one has not been carried out
    if (is_claim_conflict(failure) && ledger_->claims_unknown > 0) {
      // An earlier claim of our own, whose answer was lost, has raised it.
      --ledger_->claims_unknown;
      ++ledger_->epoch;
      return claim();
    }
    if (is_claim_conflict(failure))
      return stop_fenced(failure.message);
    spdlog::warn("the writer cannot claim its row: {}", failure.message);
    release_connection(); // it may be well, and would stay leased for ever
    return pause();
  }
  auto claimed = db::decode_claim(outcome);
  if (!claimed)
    return stop_fenced(claimed.failure().message);
  ledger_->epoch = claimed->epoch;
  ledger_->backend_pid = claimed->backend_pid;
  ledger_->claims_unknown = 0;
  settle_committed(claimed->seq);
  spdlog::debug("writer {} claimed epoch {} at batch {}", ledger_->writer, claimed->epoch, claimed->seq);
  if (!std::exchange(announced_, true))
    send(owner_, writer_ready{caf::actor_cast<writer_actor>(this)});
  resume_running();
}

void writer::settle_committed(std::int64_t committed_seq) {
  auto& in_flight = ledger_->in_flight;
  while (!in_flight.empty() && in_flight.front().seq <= committed_seq) {
    commit(in_flight.front(), nullptr);
    in_flight.pop_front();
  }
  ledger_->seq = committed_seq;
  if (announced_) {
    requeue_in_flight();
  } else {
    // A predecessor's batches: their sessions send them again, in order with all the rest.
    in_flight.clear();
  }
  answer_barriers();
}

void writer::settle() {
  const auto& in_flight = ledger_->in_flight;
  const auto lost = std::find_if(in_flight.begin(), in_flight.end(), [](const auto& batch) {
    return batch.failure->kind == db::failure_kind::connection_lost;
  });
  if (lost != in_flight.end()) {
    spdlog::warn("the writer lost its connection with {} batches in flight: {}", in_flight.size(),
                 lost->failure->message);
    return acquire();
  }
  const auto first = *in_flight.front().failure;
  switch (first.kind) {
  case db::failure_kind::data: {
    auto refused = std::move(ledger_->in_flight.front());
    ledger_->in_flight.pop_front();
    spdlog::warn("a batch of {} writes was refused for its data, SQLSTATE {}", refused.writes.size(), first.sqlstate);
    requeue_in_flight(); // before a refusal, which drops what its session has sent after
    isolate(std::move(refused));
    return resume_running();
  }
  case db::failure_kind::fence:
    return stop_fenced(first.message);
  default:
    spdlog::warn("a batch failed and is sent again: {} (SQLSTATE {})", first.message, first.sqlstate);
    requeue_in_flight();
    return pause();
  }
}

void writer::requeue_in_flight() {
  auto& in_flight = ledger_->in_flight;
  while (!in_flight.empty()) {
    auto batch = std::move(in_flight.back());
    in_flight.pop_back();
    if (batch.isolated)
      isolated_.push_front(std::move(batch.writes));
    else
      queue_.insert(queue_.begin(), std::make_move_iterator(batch.writes.begin()),
                    std::make_move_iterator(batch.writes.end()));
  }
}

void writer::isolate(batch_in_flight batch) {
  if (batch.writes.size() == 1)
    return refuse(batch);

  std::vector<session_id> sessions;
  std::unordered_set<session_id> seen;
  for (const auto& entry : batch.writes)
    if (seen.insert(entry.write->session.id).second)
      sessions.push_back(entry.write->session.id);

  std::vector<queued_write> first, second;
  if (sessions.size() > 1) {
    const std::unordered_set<session_id> in_first(sessions.begin(),
                                                  sessions.begin() + static_cast<std::ptrdiff_t>(sessions.size() / 2));
    for (auto& entry : batch.writes)
      (in_first.contains(entry.write->session.id) ? first : second).push_back(std::move(entry));
  } else {
    const auto half = batch.writes.begin() + static_cast<std::ptrdiff_t>(batch.writes.size() / 2);
    first.assign(std::make_move_iterator(batch.writes.begin()), std::make_move_iterator(half));
    second.assign(std::make_move_iterator(half), std::make_move_iterator(batch.writes.end()));
  }
  isolated_.push_front(std::move(second));
  isolated_.push_front(std::move(first));
}

void writer::refuse(const batch_in_flight& batch) {
  const auto& entry = batch.writes.front();
  const auto& write = *entry.write;
  log_about(spdlog::level::err, {write.session}, "the session stops: the database refused its write {} (SQLSTATE {})",
            write.number, batch.failure->sqlstate);
  refused_.insert(entry.listener.id());
  ledger_->refused.insert(write.session.id);
  drop_writes_of(entry.listener.id());
  send(entry.listener, session_call{write_refused{
                           write.number,
                           {error_code::internal, "the database refused an event of this session (SQLSTATE " +
                                                      batch.failure->sqlstate + "); its events are kept in memory"}}});
  answer_barriers();
}

void writer::drop_writes_of(caf::actor_id listener) {
  const auto is_its = [listener](const queued_write& entry) { return entry.listener.id() == listener; };
  std::erase_if(queue_, is_its);
  for (auto& group : isolated_)
    std::erase_if(group, is_its);
  std::erase_if(isolated_, [](const auto& group) { return group.empty(); });
}

/// Never to be used by another: our successor ends the backend by its pid.
void writer::release_connection() {
  if (lease_ != 0)
    send(supervisor_, end_lease{std::exchange(lease_, 0), /*reusable=*/false});
  connection_ = nullptr;
  must_change_ = false;
}

run_unit writer::unit_of(db::unit work, const char* purpose) const {
  run_unit unit{std::move(work)};
  unit.purpose = purpose;
  unit.lease = lease_;
  return unit;
}

void writer::give_back(lease_id lease) {
  must_change_ = must_change_ || (lease == lease_ && lease_ != 0);
  change_connection();
}

/// The pool wants the connection back or has lost it, and nothing is under way on it.
void writer::change_connection() {
  if (must_change_ && phase_ == phase::running && ledger_->in_flight.empty())
    acquire();
}

error writer::fenced_error() {
  return {error_code::not_owner, "another process owns this session", 1000ms};
}

void writer::stop_fenced(const std::string& what) {
  spdlog::critical("this process no longer owns its writer; nothing more is written: {}", what);
  phase_ = phase::fenced;
  release_connection();
  requeue_in_flight();
  send(owner_, writer_fenced{ledger_->process});
  const auto stop = [&](const queued_write& entry) {
    ledger_->refused.insert(entry.write->session.id);
    send(entry.listener, session_call{write_refused{entry.write->number, fenced_error()}});
  };
  for (const auto& group : isolated_)
    std::for_each(group.begin(), group.end(), stop);
  std::for_each(queue_.begin(), queue_.end(), stop);
  isolated_.clear();
  queue_.clear();
  answer_barriers();
}

void writer::pause() {
  phase_ = phase::pausing;
  delay_ = std::clamp(delay_ * 2, delay_first, delay_max);
  thread_local std::minstd_rand generator{std::random_device{}()};
  std::uniform_int_distribution<std::int64_t> spread(delay_.count() / 2, delay_.count());
  delayed_send(this, std::chrono::milliseconds{spread(generator)}, writer_retry{});
}

void writer::resume_running() {
  phase_ = phase::running;
  pump();
}

} // namespace colloquy::actors
