#include "bench/sessions/measurements.hpp"
#include "bench/sessions/sessions_service.hpp"
#include "bench/workload.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace colloquy::bench {
namespace {

constexpr std::size_t page = 20;
constexpr std::size_t short_log = 10;
constexpr std::size_t said_one_by_one = 1000; // the newest, as in a conversation: as many as stay in memory
constexpr std::size_t warm_up_share = 20;     // one in so many rounds is not counted

std::vector<history_reading> history_readings(std::size_t long_log) {
  std::vector<history_reading> readings(4);
  const auto set = [&](std::size_t place, std::size_t log_messages, std::size_t limit) {
    readings[place].log_messages = log_messages;
    readings[place].limit = limit;
  };
  set(history_places::short_log, short_log, page);
  set(history_places::full_page, page, page);
  set(history_places::long_log, long_log, page);
  set(history_places::long_log_half, long_log, short_log);
  return readings;
}

class history_run {
public:
  history_run(const history_options& options, const interruption_check& check)
    : options_(options)
    , service_(bench_options{}, memory_room{}, check)
    , work_({}, options.message_bytes)
    , random_(options.seed) {
    found_.readings = history_readings(options.long_messages);
  }

  history_figures run() {
    found_.server = service_.database().describe();
    for (std::size_t i = 0; i < found_.readings.size(); ++i)
      sessions_.push_back(i == history_places::long_log_half ? sessions_[history_places::long_log]
                                                             : make_session(found_.readings[i].log_messages));
    service_.must(flush{});
    service_.database().checkpoint();
    found_.load.before = load_of_machine();
    sample([this](std::size_t reading) { return read(reading); }, &history_reading::hot);
    service_.put_to_sleep({sessions_.begin(), sessions_.begin() + history_places::long_log + 1});
    sample(
        [this](std::size_t reading) {
          const auto time = read(reading);
          service_.put_to_sleep({sessions_[reading]});
          return time;
        },
        &history_reading::cold);
    found_.load.after = load_of_machine();
    service_.stop();
    return std::move(found_);
  }

private:
  session_key make_session(std::size_t messages) {
    create_session creation;
    creation.tenant = tenant_id::parse("bench").value_or(tenant_id());
    creation.user_id = "bench";
    const auto session = service_.must(std::move(creation)).key;
    for (std::size_t at = 0; at < messages;) {
      append_events more;
      more.session = session;
      const auto one_by_one = messages - at <= said_one_by_one;
      more.wanted = one_by_one ? durability::accepted : durability::durable; // so that never too much is on its way
      const auto count = one_by_one ? 1 : std::min(limits::events_per_append_max, messages - at - said_one_by_one);
      for (const auto end = at + count; at < end; ++at)
        more.events.push_back(message(messages, at));
      service_.must(std::move(more));
    }
    return session;
  }

  /// Each log has messages of its own.
  event_input message(std::size_t log, std::size_t at) const {
    return work_.message({log, static_cast<event_offset>(at)});
  }

  std::chrono::nanoseconds read(std::size_t reading) {
    const auto& wanted = found_.readings[reading];
    read_history request;
    request.session = sessions_[reading];
    request.order = history_order::descending;
    request.limit = wanted.limit;
    const auto asked = service_.ask(std::move(request));
    if (!asked.answer)
      throw bench_failure("a history was not read: " + asked.answer.failure().message);
    const auto& messages = asked.answer->messages;
    if (messages.size() != wanted.returned())
      throw bench_failure("a history has " + std::to_string(messages.size()) + " messages");
    for (std::size_t i = 0; i < messages.size(); ++i)
      if (messages[i].data != message(wanted.log_messages, wanted.log_messages - 1 - i).data)
        throw bench_failure("a history has a message that is not its own");
    return asked.time;
  }

  template <class Read>
  void sample(Read read_one, histogram history_reading::*into) {
    std::vector<std::size_t> order(found_.readings.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto warm_up = options_.samples / warm_up_share + 1;
    for (std::size_t round = 0; round < options_.samples + warm_up; ++round) {
      std::shuffle(order.begin(), order.end(), random_);
      for (const auto reading : order)
        if (const auto time = read_one(reading); round >= warm_up)
          (found_.readings[reading].*into).record(time);
    }
  }

  const history_options options_;
  sessions_service service_;
  const workload work_;
  std::mt19937 random_;
  std::vector<session_key> sessions_; // of each reading
  history_figures found_;
};

} // namespace

history_figures measure_histories(const history_options& options, const interruption_check& check) {
  return history_run(options, check).run();
}

} // namespace colloquy::bench
