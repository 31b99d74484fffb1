#include "bench/batch_baseline.hpp"

#include "bench/bench_failure.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

namespace colloquy::bench {
namespace {

/// Outcomes come in order, so nothing needs to be told apart; 0 is the connection's own.
constexpr std::uint64_t any_tag = 1;

/// Longer than any statement may take.
constexpr int silence_ms_max = 60'000;

db::session_write_ptr write_of(const workload& work, slice::place at) {
  const auto& session = work.sessions()[at.session];
  auto write = std::make_shared<db::session_write>();
  write->session = session.key;
  write->log = session.log;
  event entry;
  static_cast<event_input&>(entry) = work.message(at);
  entry.offset = at.offset;
  entry.created_at = system_time();
  entry.messages = at.offset + 1;
  write->bytes = entry.cost_bytes();
  write->events = std::make_shared<const std::vector<event>>(1, std::move(entry));
  return write;
}

void wait_for(int socket, db::io_need need) {
  short events = 0;
  if (need == db::io_need::read || need == db::io_need::read_write)
    events |= POLLIN;
  if (need == db::io_need::write || need == db::io_need::read_write)
    events |= POLLOUT;
  pollfd watched{socket, events, 0};
  if (::poll(&watched, 1, silence_ms_max) == 0)
    throw bench_failure("the database does not answer the batches' connection");
}

} // namespace

batch_baseline::batch_baseline(const config::settings& settings, const std::string& conninfo, const workload& work,
                               const slice& part)
  : in_flight_max_(settings.batches_in_flight_max) {
  auto started = db::pipeline_connection::start(
      db::service_target(conninfo, settings.schema, settings.application_name,
                         {settings.statement_timeout, settings.idle_in_transaction_timeout, settings.lock_timeout}));
  if (!started)
    throw bench_failure(started.failure().message);
  link_ = std::move(started).value();
  wait_for(link_->socket(), db::io_need::write); // libpq: writable before the first look at it
  const auto process = process_id::make();
  link_->submit(any_tag, db::claim_writer(process, 0, 0));
  const auto claim = db::decode_claim(await_one());
  if (!claim)
    throw bench_failure(claim.failure().message);
  auto seq = claim->seq;
  for (std::size_t i = 0; i < part.messages();) {
    std::vector<db::session_write_ptr> writes;
    std::size_t bytes = 0;
    for (; i < part.messages() && writes.size() < settings.batch_events_max && bytes < settings.batch_bytes_max; ++i) {
      writes.push_back(write_of(work, part.at(i)));
      bytes += writes.back()->bytes;
    }
    batches_.push_back(db::encode_batch({process, 0, claim->epoch, ++seq}, writes).statements);
  }
}

std::chrono::nanoseconds batch_baseline::run() {
  const auto start = std::chrono::steady_clock::now();
  std::size_t under_way = 0;
  for (auto& batch : batches_) {
    for (; under_way >= in_flight_max_; --under_way)
      await_one();
    link_->submit(any_tag, std::move(batch));
    ++under_way;
  }
  for (; under_way > 0; --under_way)
    await_one();
  return std::chrono::steady_clock::now() - start;
}

db::unit_outcome batch_baseline::await_one() {
  for (;;) {
    const auto need = link_->advance();
    std::ranges::move(link_->take_finished(), std::back_inserter(finished_));
    if (!finished_.empty()) {
      auto outcome = std::move(finished_.front().outcome);
      finished_.erase(finished_.begin());
      if (outcome.failure)
        throw bench_failure("a batch failed: " + outcome.failure->message);
      return outcome;
    }
    if (link_->broken())
      throw bench_failure("the batches' connection broke: " + link_->broken()->message);
    wait_for(link_->socket(), need);
  }
}

} // namespace colloquy::bench
