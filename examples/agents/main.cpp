// A CAF program that runs its own agents in Colloquy: one that echoes, and one that calls a tool. It asks each
// something and shows what the log has then.
//
//     agents [--data-dir FOLDER | --database URI | ...]      # any setting of Colloquy's, as a flag
#include "echo_agent.hpp"
#include "sum_agent.hpp"

#include <caf/actor_system_config.hpp>

#include <iostream>
#include <string>

using namespace colloquy;

namespace {

int fail(const error& why) {
  std::cerr << why.message << '\n';
  return 1;
}

result<void> register_agents(caf::actor_system& system, const service& host) {
  register_agent echo;
  echo.name = "echo";
  echo.make = [&system] { return system.spawn(echo_agent); }; // made anew, should it die
  if (auto done = ask(system, host.agents(), echo); !done)
    return done.failure();
  register_agent sum;
  sum.name = "sum";
  sum.make = [&system] { return system.spawn(sum_agent); };
  if (auto done = ask(system, host.agents(), sum); !done)
    return done.failure();
  return {};
}

/// A conversation with one agent: one turn, and all that is in the log then.
result<void> talk(caf::actor_system& system, const service& host, const std::string& agent, const std::string& text) {
  create_session creation;
  creation.tenant = tenant_id::parse("acme").value();
  creation.user_id = "ada";
  creation.agent_id = agent;
  auto made = ask(system, host.directory(), creation);
  if (!made)
    return made.failure();
  auto question = text_message(message_role::user, text);
  if (!question)
    return question.failure();
  start_agent_turn wanted;
  wanted.session = made->key;
  wanted.events.push_back(std::move(*question));
  auto ended = ask(system, host.agents(), wanted);
  if (!ended)
    return ended.failure();
  std::cout << agent << ": turn " << ended->turn.number << " " << to_string(ended->turn.status) << '\n';
  read_history look;
  look.session = made->key;
  auto history = ask(system, host.directory(), look);
  if (!history)
    return history.failure();
  for (const auto& message : history->messages)
    std::cout << "  " << to_string(message.role) << ": "
              << (message.tool_call_ids.empty() ? text_of(message) : "calls " + message.tool_call_ids.front()) << '\n';
  return {};
}

int run(const config::settings& settings, const database& data) {
  caf::actor_system_config config;
  use_sparing_scheduler(config, 2); // or any of CAF's own: config.set("scheduler.policy", ...)
  caf::actor_system system{config};
  auto host = service::start(system, {settings, data.service_conninfo});
  if (!host)
    return fail(host.failure());
  auto done = register_agents(system, **host);
  if (done)
    done = talk(system, **host, "echo", "hello");
  if (done)
    done = talk(system, **host, "sum", "How much is 20 and 22?");
  const auto stopped = (*host)->stop(std::chrono::seconds{10});
  if (!done)
    return fail(done.failure());
  return stopped ? 0 : fail(stopped.failure());
}

} // namespace

int main(int argc, char** argv) {
  auto from = config::sources_of_process();
  for (int i = 1; i + 1 < argc; i += 2)
    from.flags.emplace_back(argv[i], argv[i + 1]);
  const auto loaded = config::load(from);
  for (const auto& mistake : loaded.mistakes)
    std::cerr << config::format(mistake) << '\n';
  if (!loaded.mistakes.empty())
    return 2;
  auto data = open_database(loaded.values); // PostgreSQL of our own, unless a database is set
  if (!data)
    return fail(data.failure());
  if (auto ready = make_ready(*data, loaded.values); !ready)
    return fail(ready.failure());
  const int code = run(loaded.values, *data);
  if (auto stopped = data->stop(); !stopped)
    return fail(stopped.failure());
  return code;
}
