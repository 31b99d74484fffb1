#include "bench/resident_memory.hpp"
#include "bench/sessions/conversations.hpp"
#include "bench/sessions/measurements.hpp"

#include <algorithm>
#include <iostream>
#include <numeric>
#include <random>

namespace colloquy::bench {
namespace {

constexpr std::size_t history_limit = 20;
constexpr std::size_t sleeps_at_once = 10'000; // as many as the directory's own tick asks

bench_options server_options(const idle_options& options) {
  bench_options server;
  server.sessions = options.sessions;
  server.data_dir = options.data_dir;
  return server;
}

memory_room room_for(const idle_options& options) {
  return {options.sessions, options.tail_cache_bytes_max};
}

memory_sample sample_memory() {
  memory_sample found;
  found.resident = resident_bytes();
  give_back_unused_memory();
  found.trimmed = resident_bytes();
  found.allocated = allocated_bytes();
  return found;
}

/// The measurements of one run, each after the other.
class idle_run {
public:
  idle_run(const idle_options& options, const interruption_check& check)
    : options_(options)
    , service_(server_options(options), room_for(options), check)
    , talk_(std::make_shared<conversations>(options.tenants, options.messages, options.message_bytes,
                                            options.metadata_bytes)) {}

  idle_figures run() {
    found_.server = service_.database().describe();
    found_.empty = sample_memory();
    make_all();
    service_.pause(options_.settle);
    expect_resident(options_.sessions);
    found_.idle = without_own(sample_memory());
    expect_resident(options_.sessions);
    say("idle");
    check_tables();
    put_all_to_sleep();
    service_.pause(options_.settle);
    expect_resident(0);
    found_.asleep = without_own(sample_memory());
    say("asleep");
    service_.database().checkpoint();
    wake_some();
    service_.stop();
    return std::move(found_);
  }

private:
  session_key key_of(std::size_t number) const { return {talk_->tenant(number), sessions_[number]}; }

  void make_all() {
    const auto begun = steady::now();
    sessions_ = have_conversations(service_, talk_, options_.sessions, options_.at_once);
    found_.making = steady::now() - begun;
  }

  void expect_resident(std::size_t wanted) {
    if (const auto found = service_.resident(); found != wanted)
      throw bench_failure(std::to_string(found) + " sessions are in memory instead of " + std::to_string(wanted));
  }

  /// The ids of the sessions are the bench's own.
  memory_sample without_own(memory_sample found) const {
    const auto own = sessions_.size() * sizeof(session_id);
    return {found.resident - own, found.trimmed - own, found.allocated - own};
  }

  void check_tables() {
    const auto expect = [&](const std::string& sql, std::size_t wanted) {
      if (const auto found = service_.database().value(sql); found != std::to_string(wanted))
        throw bench_failure(sql + ": " + found + " instead of " + std::to_string(wanted));
    };
    expect("SELECT count(*) FROM sessions WHERE turn_count = 1", options_.sessions);
    expect("SELECT count(*) FROM turns WHERE status = 'completed'", options_.sessions);
    expect("SELECT count(*) FROM idempotency_keys", options_.sessions);
    expect("SELECT count(*) FROM events", options_.sessions * talk_->events());
    expect("SELECT count(*) FROM events WHERE kind = 'message'", options_.sessions * talk_->messages());
  }

  void put_all_to_sleep() {
    std::vector<session_key> some;
    for (std::size_t number = 0; number < options_.sessions;) {
      some.clear();
      while (number < options_.sessions && some.size() < sleeps_at_once)
        some.push_back(key_of(number++));
      service_.put_to_sleep(some);
    }
  }

  /// Without replacement, so each is asleep.
  void wake_some() {
    std::vector<std::uint32_t> order(options_.sessions);
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), std::mt19937(options_.seed));
    order.resize(std::min(order.size(), 2 * options_.wakes));
    found_.load.before = load_of_machine();
    for (std::size_t i = 0; i < order.size(); ++i)
      i % 2 == 0 ? wake_by_get(order[i]) : wake_by_history(order[i]);
    found_.load.after = load_of_machine();
    expect_resident(order.size());
  }

  void wake_by_get(std::size_t number) {
    const auto asked = service_.ask(get_session{key_of(number)});
    if (!asked.answer)
      throw bench_failure("a session did not wake: " + asked.answer.failure().message);
    talk_->check_record(number, *asked.answer);
    found_.woken_by_get.record(asked.time);
  }

  void wake_by_history(std::size_t number) {
    read_history request;
    request.session = key_of(number);
    request.order = history_order::descending;
    request.limit = history_limit;
    const auto asked = service_.ask(std::move(request));
    if (!asked.answer)
      throw bench_failure("a history was not read: " + asked.answer.failure().message);
    talk_->check_last_messages(number, history_limit, *asked.answer);
    found_.woken_by_history.record(asked.time);
  }

  void say(const char* what) const {
    const auto& sample = found_.asleep.resident > 0 ? found_.asleep : found_.idle;
    std::cerr << "colloquy_sessions_bench: " << options_.sessions << " sessions " << what << ", "
              << (sample.resident >> 20) << " MiB resident\n";
  }

  const idle_options options_;
  sessions_service service_;
  std::shared_ptr<const conversations> talk_;
  std::vector<session_id> sessions_;
  idle_figures found_;
};

} // namespace

idle_figures measure_idle_sessions(const idle_options& options, const interruption_check& check) {
  return idle_run(options, check).run();
}

} // namespace colloquy::bench
