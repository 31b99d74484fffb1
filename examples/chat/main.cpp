// A chat in a terminal: what you type is a turn, and the reply appears as it is made. The conversation is kept; start
// it again, and it goes on where it was. An empty line or Ctrl-D ends it.
//
//     chat [--data-dir FOLDER | --database URI | ...]      # any setting of Colloquy's, as a flag
#include <colloquy/colloquy.hpp>

#include <caf/actor_system_config.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <spdlog/spdlog.h>

#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <string>

using namespace colloquy;
using namespace std::chrono_literals;

namespace {

int fail(const error& why) {
  std::cerr << why.message << '\n';
  return 1;
}

// --- the agent: it repeats what was said, backwards, one word at a time
// -------------------------------------------------

struct say_next {
  turn_id turn;
};

} // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(say_next)

namespace {

using backwards_actor = agent_actor::extend<caf::reacts_to<say_next>>;

struct speech {
  turn_desk_actor desk;
  caf::typed_response_promise<result<agent_reply>> answer;
  std::deque<std::string> words;
  std::string said;
};

std::deque<std::string> words_backwards(const std::string& text) {
  std::deque<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (c != ' ')
      word.push_back(c);
    else if (!word.empty())
      words.push_front(std::exchange(word, {}));
  }
  return words;
}

backwards_actor::behavior_type backwards_agent(backwards_actor::pointer self) {
  auto speeches = std::make_shared<std::map<turn_id, speech>>(); // of many conversations at once
  return {[self, speeches](run_turn& turn) {
            auto answer = self->make_response_promise<result<agent_reply>>();
            speeches->emplace(turn.turn.id,
                              speech{turn.desk, answer, words_backwards(text_of(turn.history->messages.back())), {}});
            self->send(self, say_next{turn.turn.id});
            return answer;
          },
          [speeches](cancel_run& told) { // interrupted: the rest is not said
            if (auto at = speeches->find(told.turn); at != speeches->end()) {
              at->second.answer.deliver(result<agent_reply>(told.why));
              speeches->erase(at);
            }
          },
          [self, speeches](const say_next& next) {
            const auto at = speeches->find(next.turn);
            if (at == speeches->end())
              return;
            auto& now = at->second;
            if (!now.words.empty()) {
              const auto word = (now.said.empty() ? "" : " ") + now.words.front();
              now.words.pop_front();
              now.said += word;
              send_delta(self, now.desk, word);
              self->delayed_send(self, 30ms, say_next{next.turn});
              return;
            }
            agent_reply reply;
            if (auto message = text_message(message_role::assistant, now.said))
              reply.messages.push_back(std::move(*message));
            reply.usage = token_usage{1, static_cast<std::int64_t>(now.said.size())};
            now.answer.deliver(result<agent_reply>(std::move(reply)));
            speeches->erase(at);
          }};
}

// --- the terminal
// --------------------------------------------------------------------------------------------------------

/// Shows the parts of replies as they come.
event_subscriber::behavior_type screen(event_subscriber::pointer self, directory_actor directory) {
  auto deltas = std::make_shared<std::uint64_t>(0);
  auto through = std::make_shared<event_offset>(-1);
  const auto take = [=](const session_key& session, subscription_id id) {
    self->send(directory, events_taken{session, id, *through, *deltas});
  };
  return {[=](const events_arrived& news) {
            *through = news.through;
            take(news.session, news.subscription);
          },
          [=](const delta_arrived& delta) {
            ++*deltas;
            std::cout << *delta.text << std::flush;
            take(delta.session, delta.subscription);
          },
          [](const subscription_ended&) {}};
}

result<void> chat(caf::actor_system& system, const service& host) {
  register_agent agent;
  agent.name = "backwards";
  agent.make = [&system] { return caf::actor_cast<agent_actor>(system.spawn(backwards_agent)); };
  if (auto done = ask(system, host.agents(), agent); !done)
    return done.failure();
  open_session opening;
  opening.wanted.tenant = tenant_id::parse("home").value();
  opening.wanted.user_id = "me";
  opening.wanted.agent_id = "backwards";
  opening.wanted.external_id = "chat"; // by this name it is found again
  opening.wanted.expires_in.reset();
  auto opened = ask(system, host.directory(), opening);
  if (!opened)
    return opened.failure();
  const auto& session = opened->session.key;

  read_history look;
  look.session = session;
  auto before = ask(system, host.directory(), look);
  if (!before)
    return before.failure();
  for (const auto& message : before->messages)
    std::cout << (message.role == message_role::user ? "> " : "") << text_of(message) << '\n';
  subscribe_events listening;
  listening.session = session;
  listening.subscriber = system.spawn(screen, host.directory());
  listening.after = opened->session.durable_offset;
  if (auto done = ask(system, host.directory(), listening); !done)
    return done.failure();

  std::string line;
  while (std::cout << "> " << std::flush && std::getline(std::cin, line) && !line.empty()) {
    auto message = text_message(message_role::user, line);
    if (!message) {
      std::cout << message.failure().message << '\n';
      continue;
    }
    start_agent_turn turn;
    turn.session = session;
    turn.events.push_back(std::move(*message));
    auto ended = ask(system, host.agents(), turn, 10min);
    if (!ended)
      return ended.failure();
    if (ended->why)
      std::cout << " [" << ended->why->message << ']';
    std::cout << '\n';
  }
  std::cout << '\n';
  caf::anon_send_exit(listening.subscriber, caf::exit_reason::user_shutdown);
  return {};
}

int run(const config::settings& settings, const database& data) {
  caf::actor_system_config config;
  use_sparing_scheduler(config, 2); // or any of CAF's own: config.set("scheduler.policy", ...)
  caf::actor_system system{config};
  auto host = service::start(system, {settings, data.service_conninfo});
  if (!host)
    return fail(host.failure());
  const auto done = chat(system, **host);
  const auto stopped = (*host)->stop(10s);
  if (!done)
    return fail(done.failure());
  return stopped ? 0 : fail(stopped.failure());
}

} // namespace

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::err);
  auto from = config::sources_of_process();
  for (int i = 1; i + 1 < argc; i += 2)
    from.flags.emplace_back(argv[i], argv[i + 1]);
  const auto loaded = config::load(from);
  for (const auto& mistake : loaded.mistakes)
    std::cerr << config::format(mistake) << '\n';
  if (!loaded.mistakes.empty())
    return 2;
  auto data = open_database(loaded.values);
  if (!data)
    return fail(data.failure());
  if (auto ready = make_ready(*data, loaded.values); !ready)
    return fail(ready.failure());
  const int code = run(loaded.values, *data);
  if (auto stopped = data->stop(); !stopped)
    return fail(stopped.failure());
  return code;
}
