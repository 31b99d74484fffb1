// A directory that keeps sessions in memory and does what a test tells it to.
#pragma once

#include "cli/replay_checker.hpp"
#include "cli/replay_driver.hpp"
#include "messages/directory_interface.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::cli::test {

struct fake_session {
  session_record record;
  std::vector<event> log;
  bool turn_runs = false;
  turn_id turn;
};

/// What the actor and the test share.
struct fake_store {
  std::mutex mutex;
  std::map<session_id, fake_session> sessions;
  std::vector<session_id> order; ///< as made
  std::vector<session_id> asked; ///< whom each write was for
  std::size_t requests = 0;
  std::size_t flushes = 0;
  std::deque<std::shared_ptr<const byte_reservation>> held;
  std::size_t held_max = 2; ///< reservations kept, as if those were undurable

  // Set before the actor runs. Called with the number of the request, from 1; an error is the answer.
  std::function<std::optional<error>(std::size_t)> refuse = [](std::size_t) { return std::nullopt; };
  std::function<bool(std::size_t)> swallow = [](std::size_t) { return false; }; ///< never answered
  std::function<std::optional<error>(std::size_t)> refuse_flush = [](std::size_t) { return std::nullopt; };
  std::function<void(std::size_t)> notice = [](std::size_t) {};
};

/// What a replay never asks.
template <class Request>
auto unexpected() {
  return [](const Request&) -> result<typename Request::reply> {
    return error{error_code::internal, "this directory does not know of that"};
  };
}

class fake_directory : public directory_actor::base {
public:
  fake_directory(caf::actor_config& config, std::shared_ptr<fake_store> store)
    : directory_actor::base(config)
    , store_(std::move(store)) {}

  behavior_type make_behavior() override {
    return {[this](const create_session& request) { return handle<session_record>([&] { return make(request); }); },
            [this](const get_session& request) {
              return handle<session_record>([&] { return store_->sessions.at(request.session.id).record; });
            },
            [this](const append_events& request) { return handle<appended>([&] { return append(request); }); },
            [this](const start_turn& request) { return handle<granted_turn>([&] { return start(request); }); },
            [this](const end_turn& request) { return handle<turn_record>([&] { return end(request); }); },
            [this](const read_events& request) { return handle<event_page>([&] { return read(request); }); },
            [this](const flush&) {
              std::scoped_lock lock(store_->mutex);
              auto answer = make_response_promise<result<flushed>>();
              auto refused = store_->refuse_flush(++store_->flushes);
              store_->held.clear();
              answer.deliver(refused ? result<flushed>(*refused) : result<flushed>(flushed{}));
              return answer;
            },
            unexpected<open_session>(),
            unexpected<update_session>(),
            unexpected<erase_session>(),
            unexpected<erase_user>(),
            unexpected<fork_session>(),
            unexpected<list_sessions>(),
            unexpected<set_participant>(),
            unexpected<list_participants>(),
            unexpected<get_analytics>(),
            unexpected<delete_events>(),
            unexpected<read_history>(),
            unexpected<renew_turn>(),
            unexpected<post_delta>(),
            unexpected<list_turns>(),
            unexpected<get_health>(),
            unexpected<subscribe_events>(),
            [](const events_taken&) {},
            [](const unsubscribe_events&) {},
            [](const limit_sessions&) {}};
  }

  void on_exit() override { swallowed_.clear(); }

private:
  template <class Answer, class Work>
  caf::typed_response_promise<result<Answer>> handle(Work work) {
    std::scoped_lock lock(store_->mutex);
    auto answer = make_response_promise<result<Answer>>();
    const auto number = ++store_->requests;
    store_->notice(number);
    if (store_->swallow(number)) {
      swallowed_.emplace_back(answer);
      return answer;
    }
    if (auto refused = store_->refuse(number))
      answer.deliver(result<Answer>(*refused));
    else
      answer.deliver(result<Answer>(work()));
    return answer;
  }

  session_record make(const create_session& request) {
    fake_session made;
    made.record.key = {request.tenant, session_id::make()};
    made.record.user_id = request.user_id;
    made.record.metadata = request.metadata;
    store_->order.push_back(made.record.key.id);
    store_->sessions[made.record.key.id] = made;
    return made.record;
  }

  void write(fake_session& session, const event_input& input, turn_id turn) {
    event next;
    static_cast<event_input&>(next) = input;
    next.turn = turn;
    next.offset = session.record.next_offset++;
    session.log.push_back(std::move(next));
  }
  void write_status(fake_session& session, turn_id turn) {
    event_input status;
    status.kind = event_kind::status;
    write(session, status, turn);
  }
  void hold(const std::shared_ptr<const byte_reservation>& reservation) {
    store_->held.push_back(reservation);
    while (store_->held.size() > store_->held_max)
      store_->held.pop_front();
  }
  fake_session& session_of(const session_key& key) {
    store_->asked.push_back(key.id);
    return store_->sessions.at(key.id);
  }

  result<appended> append(const append_events& request) {
    auto& session = session_of(request.session);
    if (request.turn && (!session.turn_runs || session.turn != *request.turn))
      return error{error_code::turn_lost, "no such turn"};
    hold(request.reservation);
    for (const auto& each : request.events)
      write(session, each, request.turn.value_or(turn_id{}));
    return appended{session.record.next_offset - static_cast<event_offset>(request.events.size()),
                    request.events.size(), durability::accepted};
  }
  result<granted_turn> start(const start_turn& request) {
    auto& session = session_of(request.session);
    if (session.turn_runs)
      return error{error_code::turn_in_progress, "a turn runs"};
    hold(request.reservation);
    session.turn_runs = true;
    session.turn = turn_id::make();
    write_status(session, session.turn);
    for (const auto& each : request.events)
      write(session, each, session.turn);
    turn_record started;
    started.id = session.turn;
    return granted_turn{started, {}};
  }
  result<turn_record> end(const end_turn& request) {
    auto& session = session_of(request.session);
    if (!session.turn_runs || session.turn != request.turn)
      return error{error_code::turn_lost, "no such turn"};
    hold(request.reservation);
    for (const auto& each : request.events)
      write(session, each, session.turn);
    write_status(session, session.turn);
    session.turn_runs = false;
    ++session.record.turn_count;
    return turn_record{session.turn};
  }
  result<event_page> read(const read_events& request) {
    event_page page;
    for (const auto& each : store_->sessions.at(request.session.id).log)
      if (each.offset > request.after && page.events.size() < request.limit)
        page.events.push_back(each);
    return page;
  }

  std::shared_ptr<fake_store> store_;
  // The promises of any answer; kept, so that nobody is told that they are gone.
  std::vector<caf::response_promise> swallowed_;
};

struct fake_config : caf::actor_system_config {
  fake_config() {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", 2);
  }
};

/// A replay of some lines into a fake directory.
class replay_fixture {
public:
  replay_fixture() {
    plan.tenant = *tenant_id::parse("default");
    plan.files = {dir_ / "a.jsonl"};
    plan.request_timeout = std::chrono::seconds{20};
  }

  ~replay_fixture() {
    if (directory) // it may hold promises, which hold it
      self->send_exit(directory, caf::exit_reason::kill);
  }
  replay_fixture(const replay_fixture&) = delete;
  replay_fixture& operator=(const replay_fixture&) = delete;

  void write_lines(const std::vector<std::string>& lines) {
    std::ofstream file(plan.files[0], std::ios::binary | std::ios::trunc);
    for (const auto& line : lines)
      file << line << '\n';
  }

  append_outcome append() {
    directory = system.spawn<fake_directory>(store);
    auto driver = system.spawn<replay_driver>(directory, budget, transcripts(), plan);
    self->send(driver, begin_replay{});
    return *wait<append_outcome_ptr>();
  }
  check_outcome check(const append_outcome& appended) {
    auto checker =
        system.spawn<replay_checker>(directory, transcripts(), plan, std::make_shared<const append_outcome>(appended));
    self->send(checker, begin_check{});
    return wait<check_outcome>();
  }
  template <class Answer>
  Answer wait() {
    std::optional<Answer> answer;
    self->receive([&](const Answer& given) { answer = given; }, caf::after(std::chrono::seconds(60)) >> [] {});
    REQUIRE(answer.has_value());
    return *answer;
  }
  transcript_actor transcripts() {
    return caf::actor_cast<transcript_actor>(system.spawn<transcript_source, caf::detached>(plan.files));
  }
  std::string complaints() {
    std::string all;
    for (const auto& each : plan.progress->take_complaints())
      all += each + "\n";
    return all;
  }

  replay_plan plan;
  std::shared_ptr<fake_store> store = std::make_shared<fake_store>();
  std::shared_ptr<byte_budget> budget = std::make_shared<byte_budget>(std::size_t{64} << 20);

private:
  colloquy::test::temp_dir dir_;
  fake_config config_;

public:
  caf::actor_system system{config_};
  caf::scoped_actor self{system};
  directory_actor directory;
};

/// A line with messages of these roles, by first letter, each with a text of its own.
inline std::string line_of(const std::string& id, std::string_view roles) {
  const std::map<char, std::string> names{{'u', "user"}, {'a', "assistant"}, {'s', "system"}, {'t', "tool"}};
  std::string messages;
  for (std::size_t i = 0; i < roles.size(); ++i)
    messages += std::string(i > 0 ? "," : "") + R"({"role":")" + names.at(roles[i]) + R"(","content":")" + id + " " +
                std::to_string(i) + "\"}";
  return R"({"conversation_id":")" + id + R"(","messages":[)" + messages + "]}";
}

} // namespace colloquy::cli::test
