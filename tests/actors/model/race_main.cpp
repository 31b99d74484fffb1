// Appends that race with passivation, on real threads. Sessions are asked to sleep just when they are wanted: by the
// directory, which has room for little more than those in use and so lets the one go that was used the longest time
// ago, which is the next one that its worker comes to; and by the workers themselves, between two appends. Every append
// must be answered once, with the offset that is its own, and be there once. Exit codes as session_histories has them.
#include "actors/directory.hpp"
#include "tests/actors/model/race_pool.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace colloquy::model {

/// What a worker saw.
struct race_report {
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  std::uint64_t sessions = 0;
  std::string problem{}; ///< the first; "" if there was none
};

} // namespace colloquy::model

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::model::race_report)

namespace colloquy::model {
namespace {

using namespace std::chrono_literals;

constexpr int exit_held = 0;
constexpr int exit_failed = 1;
constexpr int exit_wrong_usage = 2;
constexpr int exit_violated = 3;

constexpr std::size_t workers = 16;
constexpr std::size_t sessions_each = 26;
// Sessions in use pass nine tenths of it, where the oldest are asked to sleep; with one more a worker, which has been
// erased and not left yet, they do not reach it.
constexpr std::size_t resident_max = 436;
constexpr std::size_t appends_a_session = 100; // then it is looked at and erased, and another one begins
constexpr std::size_t burst_max = 3;
constexpr auto patience = 120s; // of requests that are answered in a millisecond

// A race that hardly ever happened proves nothing.
constexpr std::uint64_t appends_a_wake_max = 100;

/// One caller with some sessions, which it uses in turn.
class worker : public caf::event_based_actor {
public:
  worker(caf::actor_config& config, directory_actor directory, race_pool_actor pool, std::uint64_t appends,
         std::uint64_t seed, caf::actor told)
    : caf::event_based_actor(config)
    , directory_(std::move(directory))
    , pool_(std::move(pool))
    , left_(appends)
    , random_(seed)
    , told_(std::move(told)) {}

  caf::behavior make_behavior() override {
    sessions_.resize(sessions_each);
    for (std::size_t i = 0; i < sessions_each; ++i)
      make(i);
    return {[](const std::string&) {}};
  }

private:
  struct known_session {
    session_key key;
    std::vector<std::string> data{};
    std::size_t answered = 0;
  };

  std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>(0, sides - 1)(random_); }

  void make(std::size_t index) {
    create_session wanted;
    wanted.tenant = tenant_id::parse("acme").value();
    wanted.user_id = "ada";
    request(directory_, patience, std::move(wanted))
        .then(
            [this, index](const result<session_record>& made) {
              if (!made)
                return fail("a session was not made: " + made.failure().message);
              sessions_[index] = {made->key};
              ++report_.sessions;
              if (++made_ >= sessions_each) // all of the first are there, or this one takes another's place
                go_on();
            },
            [this](const caf::error&) { fail("the making of a session was not answered"); });
  }

  void go_on() {
    if (!report_.problem.empty())
      return;
    if (left_ == 0)
      return look(0);
    at_ = (at_ + 1) % sessions_each;
    auto& session = sessions_[at_];
    under_way_ = std::min<std::uint64_t>({1 + roll(burst_max), left_, appends_a_session - session.data.size()});
    left_ -= under_way_;
    for (std::size_t i = under_way_; i > 0; --i) {
      if (roll(2) == 0)
        doze(session);
      append(session);
    }
  }

  /// It is asked to sleep, as if it had been idle for long, just before somebody wants it.
  void doze(const known_session& session) {
    send(caf::actor_cast<caf::actor>(directory_), actors::session_finished{session.key});
  }

  void append(known_session& session) {
    const auto offset = session.data.size();
    session.data.push_back(std::to_string(report_.asked++));
    append_events wanted;
    wanted.session = session.key;
    // The last one of a session says that all are durable.
    const bool is_last = session.data.size() == appends_a_session;
    wanted.wanted = is_last || roll(2) == 0 ? durability::durable : durability::accepted;
    event_input input;
    input.role = message_role::user;
    input.data = session.data.back();
    wanted.events.push_back(std::move(input));
    auto times = std::make_shared<int>(0);
    request(directory_, patience, std::move(wanted))
        .then([this, index = at_, offset,
               times](const result<appended>& answer) { take(index, offset, answer, ++*times); },
              [this](const caf::error& failed) { fail("an append was not answered: " + system().render(failed)); });
  }

  void take(std::size_t index, std::size_t offset, const result<appended>& answer, int times) {
    ++report_.answered;
    if (times > 1)
      return fail("an append was answered twice");
    if (!answer)
      return fail("an append was refused: " + answer.failure().message);
    if (answer->first_offset != static_cast<event_offset>(offset) || answer->count != 1)
      return fail("offset " + std::to_string(answer->first_offset) + " was answered, not " + std::to_string(offset));
    ++sessions_[index].answered;
    if (--under_way_ > 0)
      return;
    if (sessions_[index].answered == appends_a_session)
      replace(index);
    else
      go_on();
  }

  /// All of it is durable: it is looked at, erased, and another one begun.
  void replace(std::size_t index) {
    compare(index, [this, index] {
      request(directory_, patience, erase_session{sessions_[index].key, {}})
          .then(
              [this, index](const result<erased>& gone) {
                if (gone)
                  make(index);
                else
                  fail("a session was not erased: " + gone.failure().message);
              },
              [this](const caf::error&) { fail("an erasure was not answered"); });
    });
  }

  template <class Then>
  void compare(std::size_t index, Then then) {
    request(pool_, patience, compare_log{sessions_[index].key.id, sessions_[index].data})
        .then(
            [this, then](const std::string& problem) {
              if (problem.empty())
                then();
              else
                fail(problem);
            },
            [this](const caf::error&) { fail("the database does not answer"); });
  }

  /// At the end, at those that are left.
  void look(std::size_t index) {
    if (index == sessions_each)
      return finish();
    request(directory_, patience, flush{})
        .then(
            [this, index](const result<flushed>& all) {
              if (all)
                compare(index, [this, index] { look(index + 1); });
              else
                fail("what was accepted is not made durable: " + all.failure().message);
            },
            [this](const caf::error&) { fail("a flush was not answered"); });
  }

  void fail(std::string problem) {
    if (!report_.problem.empty())
      return;
    report_.problem = std::move(problem);
    finish();
  }

  void finish() {
    send(told_, report_);
    quit();
  }

  directory_actor directory_;
  race_pool_actor pool_;
  std::uint64_t left_;
  std::mt19937_64 random_;
  caf::actor told_;
  std::vector<known_session> sessions_;
  std::size_t made_ = 0;
  std::size_t at_ = 0;
  std::uint64_t under_way_ = 0;
  race_report report_;
};

struct race_options {
  std::uint64_t appends = 1'000'000;
  std::uint64_t seed = 0;
  std::size_t threads = 4;
};

directory_actor start_directory(caf::actor_system& system, const race_pool_actor& pool) {
  actors::directory_options options;
  options.budget = std::make_shared<byte_budget>(std::size_t{64} << 20);
  options.sessions_resident_max = resident_max;
  options.writing.batch_timeout = options.writing.barrier_timeout = 60s;
  options.request_timeout = 60s;
  return caf::actor_cast<directory_actor>(
      system.spawn<actors::directory>(caf::actor_cast<actors::supervisor_actor>(pool), std::move(options)));
}

void wait_for_ownership(caf::scoped_actor& self, const directory_actor& directory) {
  self->request(caf::actor_cast<caf::actor>(directory), patience, actors::await_ownership{})
      .receive([](const result<actors::shards_owned>&) {},
               [](const caf::error&) { throw std::runtime_error("nothing is owned"); });
}

race_report run_workers(caf::scoped_actor& self, const directory_actor& directory, const race_pool_actor& pool,
                        const race_options& options) {
  for (std::size_t i = 0; i < workers; ++i) {
    const auto share = options.appends / workers + (i < options.appends % workers ? 1 : 0);
    self->spawn<worker>(directory, pool, share, options.seed + i, caf::actor_cast<caf::actor>(self));
  }
  race_report all;
  for (std::size_t i = 0; i < workers; ++i)
    self->receive([&](const race_report& one) {
      all.asked += one.asked;
      all.answered += one.answered;
      all.sessions += one.sessions;
      if (all.problem.empty())
        all.problem = one.problem;
    });
  return all;
}

int run_race(const race_options& options) {
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", options.threads);
  caf::actor_system system{config};
  const auto pool = system.spawn<race_pool>();
  const auto directory = start_directory(system, pool);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t wakes = 0;
  race_report all;
  {
    caf::scoped_actor self{system};
    wait_for_ownership(self, directory);
    all = run_workers(self, directory, pool, options);
    self->request(pool, patience, count_wakes{})
        .receive([&](std::uint64_t count) { wakes = count; }, [](const caf::error&) {});
    for (const auto& each : {caf::actor_cast<caf::actor>(directory), caf::actor_cast<caf::actor>(pool)}) {
      self->send_exit(each, caf::exit_reason::user_shutdown);
      self->wait_for(each);
    }
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  std::cout << all.asked << " appends to " << all.sessions << " sessions, " << all.answered << " answers, " << wakes
            << " times asleep and woken meanwhile, in " << took.count() << " ms, seed " << options.seed << '\n';
  if (all.problem.empty() && all.asked != all.answered)
    all.problem = "an append was not answered once";
  if (all.problem.empty() && wakes * appends_a_wake_max < all.asked)
    all.problem = "sessions hardly ever slept, so nothing is shown";
  if (all.problem.empty())
    return exit_held;
  std::cout << "violated: " << all.problem << '\n';
  return exit_violated;
}

int run_program(int argc, const char* const* argv) {
  CLI::App app("Appends that race with passivation, on real threads.", "passivation_race");
  app.option_defaults()->always_capture_default();
  race_options options;
  options.seed = std::random_device{}();
  app.add_option("--appends", options.appends)->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  app.add_option("--seed", options.seed, "What is asked; what meets what is the scheduler's");
  app.add_option("--threads", options.threads)->check(CLI::Range(2, 64));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& why) {
    return app.exit(why) == 0 ? exit_held : exit_wrong_usage;
  }
  spdlog::set_level(spdlog::level::off);
  return run_race(options);
}

} // namespace
} // namespace colloquy::model

int main(int argc, char** argv) try {
  return colloquy::model::run_program(argc, argv);
} catch (const std::exception& why) {
  std::cerr << "passivation_race: " << why.what() << '\n';
  return colloquy::model::exit_failed;
}
