#include "bench/measure.hpp"

#include "bench/batch_baseline.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <iostream>
#include <thread>

namespace colloquy::bench {
namespace {

/// The open loops offer this share of the highest durable rate.
constexpr double offered_share = 0.5;

facts describe_machine() {
  utsname kernel{};
  ::uname(&kernel); // without the name of the host
  return {{"kernel", std::string(kernel.sysname) + " " + kernel.release + " " + kernel.machine},
          {"cores", std::to_string(std::thread::hardware_concurrency())}};
}

/// The measurements of a run, one after the other; each begins with empty tables where the one before has ended.
class bench_run {
public:
  bench_run(const bench_options& options, const interruption_check& check)
    : options_(options)
    , check_(check)
    , database_(options)
    , service_(options, database_.settings(), database_.service_conninfo(), check)
    , work_(std::make_shared<workload>(service_.make_sessions(), options.message_bytes))
    , next_(options.sessions, 0) {}

  measured run() {
    found_.date = to_rfc3339(system_time());
    found_.machine = describe_machine();
    found_.server = database_.describe();
    for (std::size_t round = 1; round <= options_.rounds; ++round)
      run_round(round);
    found_.offered = found_.append.rate.max() * offered_share;
    const auto seconds = std::chrono::duration<double>(options_.latency_time).count();
    found_.offered_messages = std::max<std::size_t>(1, static_cast<std::size_t>(found_.offered * seconds));
    found_.accepted = run_open_loop(durability::accepted);
    found_.durable = run_open_loop(durability::durable);
    service_.stop();
    database_.stop();
    return std::move(found_);
  }

private:
  void run_round(std::size_t round) {
    check_();
    const auto part = std::make_shared<slice>(next_, options_.messages);
    copy(*part);
    send_batches(*part);
    append(part);
    database_.check_same_rows(*part);
    std::cerr << "colloquy_bench: round " << round << " of " << options_.rounds << ": COPY "
              << static_cast<long>(found_.copy.rate.by_round.back()) << ", batches "
              << static_cast<long>(found_.batches.rate.by_round.back()) << ", append "
              << static_cast<long>(found_.append.rate.by_round.back()) << " events/s\n";
  }

  void copy(const slice& part) {
    const auto rows = work_->copy_rows(part);
    database_.reset();
    measure(found_.copy, [&] { return database_.copy(rows); });
  }

  void send_batches(const slice& part) {
    batch_baseline batches(database_.settings(), database_.service_conninfo(), *work_, part);
    database_.checkpoint();
    measure(found_.batches, [&] { return batches.run(); });
    database_.check_events(*work_, part);
    database_.empty_events();
  }

  void append(const std::shared_ptr<const slice>& part) {
    database_.checkpoint();
    measure(found_.append, [&] {
      const auto done = service_.run_closed_loop(work_, part);
      found_.retried += done.retried;
      return done.time;
    });
    database_.check_events(*work_, *part);
    advance(*part);
  }

  latencies run_open_loop(durability wanted) {
    check_();
    const auto part = std::make_shared<slice>(next_, found_.offered_messages);
    database_.reset();
    const auto done = service_.run_open_loop(work_, part, found_.offered, wanted);
    database_.check_events(*work_, *part);
    advance(*part);
    return {done.latency, done.lateness};
  }

  template <class Work>
  void measure(way& to, Work work) {
    const auto before = cpu_time_now(database_.server_pid());
    const std::chrono::nanoseconds time = work();
    const auto used = cpu_time_now(database_.server_pid()) - before;
    const auto messages = static_cast<double>(options_.messages);
    to.rate.by_round.push_back(messages / std::chrono::duration<double>(time).count());
    to.own_cpu.by_round.push_back(std::chrono::duration<double, std::micro>(used.own).count() / messages);
    to.server_cpu.by_round.push_back(std::chrono::duration<double, std::micro>(used.server).count() / messages);
  }

  void advance(const slice& part) {
    for (std::size_t session = 0; session < next_.size(); ++session)
      next_[session] += static_cast<event_offset>(part.count(session));
  }

  const bench_options options_;
  const interruption_check check_;
  bench_database database_;
  append_workload service_;
  std::shared_ptr<const workload> work_;
  std::vector<event_offset> next_; // of each session, as the service has it too
  measured found_;
};

} // namespace

double series::median() const {
  auto sorted = by_round;
  std::sort(sorted.begin(), sorted.end());
  const auto middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double series::min() const {
  return *std::min_element(by_round.begin(), by_round.end());
}

double series::max() const {
  return *std::max_element(by_round.begin(), by_round.end());
}

series operator/(const series& left, const series& right) {
  series quotient;
  for (std::size_t i = 0; i < left.by_round.size(); ++i)
    quotient.by_round.push_back(left.by_round[i] / right.by_round[i]);
  return quotient;
}

measured run_bench(const bench_options& options, const interruption_check& check) {
  return bench_run(options, check).run();
}

} // namespace colloquy::bench
