#include "actors/writer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 250ms;

// Row level security compares each row with each tenant that the batch has set.
constexpr std::size_t batch_tenants_max = 256;

constexpr std::size_t large_write_bytes = std::size_t{64} << 10;

/// Whether a session that it makes may not be made, because its name or its key is there already.
bool may_be_taken(const db::session_write& write) {
  return write.row && (write.row->external_id || write.key);
}

} // namespace

writer::writer(caf::actor_config& config, std::shared_ptr<writer_ledger> ledger, supervisor_actor supervisor,
               writer_owner owner, writer_options options)
  : writer_internal::base(config)
  , ledger_(std::move(ledger))
  , supervisor_(std::move(supervisor))
  , owner_(std::move(owner))
  , options_(options)
  , delay_(0) {}

writer::behavior_type writer::make_behavior() {
  acquire();
  return {[this](persist& request) { take(request); }, [this](barrier request) { return wait_for(request); },
          [this](get_writer_status) { return tell_status(); },
          [this](const forget_refusal& request) { refused_.erase(request.listener); },
          [this](writer_tick) { on_tick(); }, [this](const lease_recalled& recalled) { give_back(recalled.lease); },
          // What is under way is answered. What is sent after that would be refused for as long as we hold the lease.
          [this](const lease_lost& lost) { give_back(lost.lease); },
          [](const backend_notified&) {}, // it listens to nothing
          [this](writer_gathered) {
            gathering_scheduled_ = false;
            pump();
          },
          [this](writer_retry) {
            if (phase_ != phase::pausing)
              return;
            if (connection_)
              resume_running();
            else
              acquire();
          }};
}

void writer::on_exit() {
  for (auto& waiting : barriers_)
    waiting.answer.deliver(result<barrier_passed>(error{error_code::database_unavailable, "the writer ended", 100ms}));
  barriers_.clear();
  connection_ = nullptr; // the pool sees the lease end with us
  supervisor_ = nullptr;
  owner_ = nullptr;
}

void writer::take(persist& request) {
  if (refused_.contains(request.listener.id()))
    return; // sent before it knew
  if (phase_ == phase::fenced) {
    ledger_->refused.insert(request.write->session.id);
    send(request.listener, session_call{write_refused{request.write->number, fenced_error()}});
    return;
  }
  queue_.push_back({std::move(request.write), std::move(request.listener), ++last_ticket_});
  pump();
}

writer::barrier_promise writer::wait_for(barrier) {
  auto answer = make_response_promise<result<barrier_passed>>();
  schedule_tick();
  barriers_.push_back({answer, last_ticket_, clock().now() + options_.barrier_timeout});
  answer_barriers();
  return answer;
}

result<writer_status> writer::tell_status() const {
  writer_status status;
  status.writes_queued = queue_.size();
  for (const auto& group : isolated_)
    status.writes_queued += group.size();
  status.batches_in_flight = ledger_->in_flight.size();
  status.sessions_refused = ledger_->refused.size();
  return status;
}

void writer::schedule_tick() {
  if (!std::exchange(tick_scheduled_, true))
    delayed_send(this, tick_interval, writer_tick{});
}

void writer::on_tick() {
  tick_scheduled_ = false;
  const auto now = clock().now();
  while (!barriers_.empty() && barriers_.front().deadline <= now) {
    barriers_.front().answer.deliver(result<barrier_passed>(
        error{error_code::database_unavailable, "not everything became durable within the time allowed", 1000ms}));
    barriers_.pop_front();
  }
  if (!barriers_.empty())
    schedule_tick();
}

void writer::pump() {
  change_connection();
  while (phase_ == phase::running && !must_change_ && ledger_->in_flight.size() < options_.batches_in_flight_max) {
    if (!isolated_.empty()) {
      if (!ledger_->in_flight.empty())
        return; // one at a time, so that a refusal names its batch
      auto group = std::move(isolated_.front());
      isolated_.pop_front();
      send_batch(std::move(group), true);
      continue;
    }
    if (queue_.empty() || waits_for_more())
      return;
    send_batch(gather(), false);
  }
}

/// A commit costs the server a write to its disk, however little is in it: two small batches behind each other take
/// twice as long as one. So what is little waits for the commit that is under way; and behind a commit those whose
/// writes it had are given a part of its time to come back, so that they go together with those who waited.
bool writer::waits_for_more() {
  const auto count = queue_.size();
  if (count >= options_.batch_events_max || queue_.front().write->bytes >= large_write_bytes)
    return false;
  if (!ledger_->in_flight.empty())
    return options_.side_by_side_writes_min > 0 &&
           count < std::max(ledger_->in_flight.back().writes.size() / 4, options_.side_by_side_writes_min);
  const auto now = clock().now();
  if (4 * count >= 3 * expected_ || now >= gathering_until_)
    return false;
  if (!std::exchange(gathering_scheduled_, true))
    delayed_send(this, gathering_until_ - now, writer_gathered{});
  return true;
}

std::vector<queued_write> writer::gather() {
  std::vector<queued_write> writes;
  std::size_t rows = 0;
  std::size_t bytes = 0;
  std::unordered_set<std::string_view> tenants;
  const std::string* last_tenant = nullptr;
  while (!queue_.empty()) {
    auto& next = queue_.front();
    const auto& tenant = next.write->session.tenant.text();
    if (!last_tenant || *last_tenant != tenant)
      tenants.insert(tenant);
    const bool is_full = rows + next.write->rows() > options_.batch_events_max ||
                         bytes + next.write->bytes > options_.batch_bytes_max || tenants.size() > batch_tenants_max;
    if (is_full && !writes.empty())
      break;
    rows += next.write->rows();
    bytes += next.write->bytes;
    writes.push_back(std::move(next));
    queue_.pop_front();
    last_tenant = &writes.back().write->session.tenant.text();
  }
  return writes;
}

void writer::send_batch(std::vector<queued_write> writes, bool isolated) {
  const auto seq = ledger_->seq + static_cast<std::int64_t>(ledger_->in_flight.size()) + 1;
  std::vector<db::session_write_ptr> content;
  content.reserve(writes.size());
  for (const auto& entry : writes)
    content.push_back(entry.write);
  auto encoded = db::encode_batch({ledger_->process, ledger_->writer, ledger_->epoch, seq}, content);

  // Into the ledger first: if this actor dies after the send, its successor must know of the batch.
  ledger_->in_flight.push_back({seq, std::move(writes), encoded.sessions_result, {}, isolated, clock().now()});
  const auto generation = connection_generation_;
  request(connection_, options_.batch_timeout, unit_of(std::move(encoded.statements), "batch"))
      .then(
          [this, seq, generation](db::unit_outcome& outcome) {
            if (generation == connection_generation_)
              on_outcome(seq, std::move(outcome));
          },
          [this, seq, generation](const caf::error&) {
            if (generation == connection_generation_)
              on_outcome(seq,
                         {{}, db::db_failure{db::failure_kind::connection_lost, "", "the connection does not answer"}});
          });
}

void writer::on_outcome(std::int64_t seq, db::unit_outcome outcome) {
  auto& in_flight = ledger_->in_flight;
  auto found = std::find_if(in_flight.begin(), in_flight.end(), [seq](const auto& batch) { return batch.seq == seq; });
  if (found == in_flight.end())
    return;
  if (!outcome.failure && phase_ == phase::running && found == in_flight.begin()) {
    commit(*found, &outcome);
    begin_gathering(*found);
    in_flight.pop_front();
    ledger_->seq = seq;
    delay_ = 0ms;
    answer_barriers();
    return pump();
  }
  phase_ = phase::settling;
  found->failure = outcome.failure.value_or(
      db::db_failure{db::failure_kind::connection_lost, "", "a batch was answered out of order"});
  if (std::all_of(in_flight.begin(), in_flight.end(), [](const auto& batch) { return batch.failure.has_value(); }))
    settle();
}

void writer::begin_gathering(const batch_in_flight& committed) {
  const auto now = clock().now();
  expected_ = committed.writes.size() + queue_.size();
  gathering_until_ = now + std::min<caf::actor_clock::duration_type>(now - committed.sent, options_.gathering_max);
}

void writer::commit(const batch_in_flight& batch, const db::unit_outcome* outcome) {
  std::unordered_set<session_id> not_made;
  if (outcome) {
    std::vector<db::session_write_ptr> content;
    content.reserve(batch.writes.size());
    for (const auto& entry : batch.writes)
      content.push_back(entry.write);
    for (const auto& key : db::taken_external_ids(batch.sessions_result, *outcome, content))
      not_made.insert(key.id);
  }
  count_stored(batch, not_made, outcome != nullptr);
  acknowledge(batch, not_made, outcome != nullptr);
}

/// A row that may have been taken, of a batch whose answer was lost, is not counted: whether it was made is not known.
void writer::count_stored(const batch_in_flight& batch, const std::unordered_set<session_id>& not_made, bool certain) {
  if (!options_.meter)
    return;
  tenant_meter::counts all;
  for (const auto& entry : batch.writes) {
    const auto& write = *entry.write;
    stored_since more;
    for (std::size_t i = 0; i < write.event_count(); ++i)
      more.bytes += static_cast<std::int64_t>((*write.events)[i].data.size());
    if (write.row && !not_made.contains(write.session.id) && (certain || !may_be_taken(write)))
      more.sessions = 1;
    if (more.sessions == 0 && more.bytes == 0)
      continue;
    auto& of_tenant = all[write.session.tenant];
    of_tenant.sessions += more.sessions;
    of_tenant.bytes += more.bytes;
  }
  for (const auto& [tenant, more] : all)
    options_.meter->add(tenant, more);
}

void writer::acknowledge(const batch_in_flight& batch, const std::unordered_set<session_id>& not_made, bool certain) {
  struct reached {
    const write_listener* listener;
    std::uint64_t number;
  };
  std::unordered_map<session_id, reached> by_session;
  by_session.reserve(batch.writes.size());
  for (const auto& entry : batch.writes) {
    const auto& write = *entry.write;
    if (not_made.contains(write.session.id) || (may_be_taken(write) && !certain))
      send(entry.listener, session_call{creation_outcome{write.number, certain}});
    else
      by_session.insert_or_assign(write.session.id, reached{&entry.listener, write.number});
  }
  for (const auto& [id, last] : by_session)
    send(*last.listener, session_call{written{last.number}});
}

void writer::answer_barriers() {
  if (barriers_.empty())
    return;
  const auto oldest = oldest_ticket();
  while (!barriers_.empty() && barriers_.front().through_ticket < oldest) {
    barriers_.front().answer.deliver(result<barrier_passed>(barrier_passed{ledger_->refused.size()}));
    barriers_.pop_front();
  }
}

std::uint64_t writer::oldest_ticket() const {
  auto oldest = last_ticket_ + 1;
  if (!queue_.empty())
    oldest = std::min(oldest, queue_.front().ticket);
  for (const auto& group : isolated_)
    oldest = std::min(oldest, group.front().ticket);
  for (const auto& batch : ledger_->in_flight)
    for (const auto& entry : batch.writes)
      oldest = std::min(oldest, entry.ticket);
  return oldest;
}

} // namespace colloquy::actors
