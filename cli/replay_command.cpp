#include "cli/replay_command.hpp"

#include "actors/service.hpp"
#include "cli/actor_system.hpp"
#include "cli/exit_code.hpp"
#include "cli/progress_line.hpp"
#include "cli/replay_checker.hpp"
#include "cli/replay_driver.hpp"
#include "cli/replay_report.hpp"
#include "cli/signals.hpp"
#include "db/startup.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <algorithm>
#include <iostream>
#include <utility>

namespace colloquy::cli {
namespace {

using namespace std::chrono_literals;

/// How often standard error is written and signals are looked for.
constexpr auto watch_pause = 100ms;

/// The tenant of whoever runs the program on this machine.
constexpr std::string_view tenant_name = "default";

/// Of requests that are waited for; then nothing can be expected any more.
constexpr int request_timeouts_without_progress = 2;

void say(const std::string& sentence) {
  std::cerr << "colloquy: " << sentence << '\n';
}

int fail(const error& why) {
  say(why.message);
  return exit_code_of(why);
}

/// What a half of the replay is waited for with: progress and complaints are shown, a signal is passed on.
class replay_watch {
public:
  replay_watch(caf::actor_system& system, const signal_watch& signals, std::shared_ptr<replay_progress> progress)
    : self_(system)
    , signals_(signals)
    , progress_(std::move(progress)) {}

  /// Sends `begin` to the actor and waits for its answer. Errors: internal, if it has died without.
  template <class Answer, class Handle, class Begin>
  result<Answer> run(const Handle& half, Begin begin, std::optional<std::uint64_t> conversations_total) {
    std::optional<Answer> answer;
    bool is_gone = false;
    bool is_told = false;
    self_->monitor(half);
    self_->send(half, begin);
    while (!answer && !is_gone) {
      self_->receive([&](const Answer& given) { answer = given; },
                     [&](const caf::down_msg& down) { is_gone = is_gone || down.source == half.address(); },
                     caf::after(watch_pause) >> [] {});
      if (signals_.received() && !std::exchange(is_told, true))
        self_->send(half, stop_replay{});
      show(conversations_total);
    }
    self_->demonitor(half.address());
    line_.clear();
    if (!answer)
      return error{error_code::internal, "the replay has died"};
    return *std::move(answer);
  }

private:
  void show(std::optional<std::uint64_t> conversations_total) {
    for (const auto& sentence : progress_->take_complaints()) {
      line_.clear();
      say(sentence);
    }
    line_.draw(*progress_, conversations_total);
  }

  caf::scoped_actor self_;
  const signal_watch& signals_;
  std::shared_ptr<replay_progress> progress_;
  progress_line line_;
};

replay_plan make_plan(const replay_arguments& arguments, const config::settings& settings) {
  replay_plan plan;
  plan.tenant = tenant_id::parse(tenant_name).value_or(tenant_id());
  plan.files = arguments.files;
  plan.copies = arguments.copies;
  plan.concurrency = arguments.concurrency;
  plan.request_timeout = settings.request_timeout;
  plan.no_progress_max = settings.request_timeout * request_timeouts_without_progress;
  plan.shutdown_timeout = settings.shutdown_timeout;
  return plan;
}

/// Both halves. Errors: internal, if an actor has died.
result<replay_report> replay(caf::actor_system& system, actors::service& service, const replay_plan& plan,
                             const signal_watch& signals) {
  replay_watch watch(system, signals, plan.progress);
  auto transcripts = [&] {
    return caf::actor_cast<transcript_actor>(system.spawn<transcript_source, caf::detached>(plan.files));
  };
  auto driver = system.spawn<replay_driver>(service.directory(), service.budget(), transcripts(), plan);
  auto appended = watch.run<append_outcome_ptr>(driver, begin_replay{}, std::nullopt);
  if (!appended)
    return std::move(appended.failure());
  const auto& outcome = **appended;
  if (outcome.given_up)
    say(outcome.given_up->message);
  check_outcome checked;
  if (!outcome.interrupted) {
    plan.progress->begin(replay_phase::verifying);
    auto checker = system.spawn<replay_checker>(service.directory(), transcripts(), plan, *appended);
    auto read_back = watch.run<check_outcome>(checker, begin_check{}, outcome.conversations);
    if (!read_back)
      return std::move(read_back.failure());
    checked = *read_back;
    if (checked.given_up)
      say(checked.given_up->message);
  }
  if (const auto left_out = plan.progress->complaints_left_out(); left_out > 0)
    say("and " + std::to_string(left_out) + " more of these");
  return make_report(outcome, checked);
}

/// Within a service that runs; stops it.
int replay_in_service(caf::actor_system& system, actors::service& service, const replay_arguments& arguments,
                      const config::settings& settings, const signal_watch& signals) {
  auto report = replay(system, service, make_plan(arguments, settings), signals);
  auto stopped = service.stop(settings.shutdown_timeout);
  if (report)
    std::cout << (arguments.json ? to_json(*report) + "\n" : to_text(*report)) << std::flush;
  if (!stopped)
    say("the shutdown lost something or took too long: " + stopped.failure().message);
  if (!report)
    return fail(report.failure());
  return report->is_good() && stopped && std::cout ? exit_done : exit_failed;
}

int replay_on(const db::database& opened, const replay_arguments& arguments, const config::settings& settings,
              const signal_watch& signals) {
  if (auto ready = db::make_ready(opened, settings); !ready)
    return fail(ready.failure());
  caf::actor_system_config config; // parses nothing, so that CAF reads neither our command line nor a file
  set_scheduler(config);
  caf::actor_system system(config);
  auto started = actors::service::start(system, {settings, opened.service_conninfo});
  if (!started)
    return fail(started.failure());
  return replay_in_service(system, **started, arguments, settings, signals);
}

} // namespace

void add_file_mistakes(const std::vector<std::filesystem::path>& files, std::vector<config::mistake>& mistakes) {
  for (const auto& file : files)
    if (auto opened = line_reader::open(file); !opened)
      mistakes.push_back(
          {"FILE", "the command line", file.string(), "must be a file that can be read: " + opened.failure().message});
}

int run_replay(const replay_arguments& arguments, const config::settings& settings) {
  signal_watch signals; // first: every thread made later leaves the signals to it
  auto opened = db::open_database(settings);
  if (!opened)
    return fail(opened.failure());
  const int code = replay_on(*opened, arguments, settings, signals);
  if (auto stopped = opened->stop(); !stopped)
    return std::max(code, fail(stopped.failure()));
  return code;
}

} // namespace colloquy::cli
