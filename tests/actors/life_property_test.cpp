// Random lives of sessions: made under names that others want too, asleep and awake, killed, with turns that wait, cut
// in, are renewed, lost and ended, while connections, answers and writers are lost. Whatever happens, a log has no gap
// and nothing twice, what was accepted stands at the offset that was answered, a name is one session's, turns follow
// each other and never overlap, and what is written in a turn lies within it.
//
// Allowed to be lost is only what a session and the writer held when both died; the histories avoid that.
#include "tests/actors/turns_fixture.hpp"

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

actors::directory_options short_lives() {
  actors::directory_options options;
  options.session_idle_timeout = 1s;
  options.request_timeout = 3s;
  options.writing.batch_events_max = 4;
  return options;
}

class life {
public:
  explicit life(unsigned seed)
    : random_(seed) {
    for (int i = 0; i < 2; ++i)
      sessions_.push_back({service_.make_session("acme")});
    service_.pool.answers_at_once = false;
  }

  void act() {
    switch (roll(24)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      append();
      break;
    case 6:
      create();
      break;
    case 7:
    case 8:
      turn();
      break;
    case 9:
      service_.steps.advance(roll(8) == 0 ? 4s : 2s, 250ms); // past the idle timeout, sometimes past deadlines
      break;
    case 10:
    case 11:
      kill_session();
      break;
    case 12:
      kill_writer();
      break;
    case 13:
      service_.pool.answer_next(fault::lost_before);
      break;
    case 14:
      service_.pool.answer_next(fault::lost_after);
      break;
    case 15:
      service_.pool.is_away = roll(3) == 0;
      break;
    case 16:
      service_.database->failures.push_back({db::failure_kind::retry, "40001", "serialization"});
      break;
    default:
      service_.pool.answer_next();
    }
    if (roll(3) > 0)
      service_.steps.run();
    collect();
  }

  void finish() {
    service_.heal();
    collect();
    REQUIRE(appends_.empty()); // every request is answered
    REQUIRE(turns_.empty());
    REQUIRE(grants_.empty());
    REQUIRE(creations_.empty());
    for (const auto& known : sessions_) // a turn that nobody has asked for is lost when its session wakes
      service_.steps.ask<session_record>(service_.directory, get_session{known.key, {}});
    service_.steps.advance(1s);
    for (const auto& known : sessions_)
      check(known);
    for (const auto& [name, made] : made_) {
      REQUIRE(made <= 1);
      REQUIRE(service_.database->has_external_id("acme", name));
    }
    // Still alive: each takes one more, at the end of its log.
    for (const auto& known : sessions_) {
      auto answer = service_.append(known.key, {"last"}, durability::durable);
      service_.steps.advance(1s);
      REQUIRE(*answer);
      if (!(*answer)->has_value())
        FAIL((*answer)->failure().message);
      REQUIRE((*answer)->value().first_offset + 1 ==
              static_cast<event_offset>(service_.database->log(known.key.id).size()));
    }
    service_.steps.advance(1s);
    REQUIRE(service_.budget->used_bytes() == 0);
    REQUIRE(service_.pool.leases_kept() == 0);
  }

private:
  struct known_session {
    session_key key;
    std::map<event_offset, std::string> accepted{};
    std::int64_t turns_ended = 0;
    turn_id running{}; // as its owner believes
  };
  template <class Value>
  struct asked {
    std::size_t session;
    pending_answer<Value> answer;
    std::vector<std::string> texts{};
  };

  int roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }
  std::size_t any_session() { return static_cast<std::size_t>(roll(static_cast<int>(sessions_.size()))); }

  void append() {
    const auto session = any_session();
    std::vector<std::string> texts;
    for (int i = roll(3); i >= 0; --i)
      texts.push_back(std::to_string(++count_));
    append_events request;
    request.session = sessions_[session].key;
    request.wanted = roll(2) ? durability::durable : durability::accepted;
    if (roll(2) && !sessions_[session].running.is_nil())
      request.turn = sessions_[session].running;
    for (const auto& text : texts)
      request.events.push_back(message(text));
    auto answer = service_.steps.ask<appended>(service_.directory, std::move(request));
    appends_.push_back({session, answer, std::move(texts)});
  }

  void create() {
    create_session request;
    request.tenant = tenant_id::parse("acme").value();
    request.user_id = "ada";
    request.external_id = "name-" + std::to_string(roll(3));
    const auto name = *request.external_id;
    creations_.push_back({0, service_.steps.ask<session_record>(service_.directory, std::move(request)), {name}});
  }

  void turn() {
    const auto session = any_session();
    auto& known = sessions_[session];
    if (known.running.is_nil()) {
      start_turn request;
      request.session = known.key;
      request.lease = std::chrono::seconds{1 + roll(5)};
      request.wait = std::chrono::seconds{roll(4)};
      request.policy = roll(2) ? turn_policy::enqueue : static_cast<turn_policy>(roll(4));
      request.events = {message("turn")};
      grants_.push_back({session, service_.steps.ask<granted_turn>(service_.directory, std::move(request))});
    } else if (roll(4) == 0) {
      service_.steps.ask<turn_record>(service_.directory, renew_turn{known.key, known.running, 2s, {}});
    } else {
      end_turn request;
      request.session = known.key;
      request.turn = std::exchange(known.running, {});
      request.usage = token_usage{3, 4};
      turns_.push_back({session, service_.steps.ask<turn_record>(service_.directory, std::move(request))});
    }
  }

  void kill_session() {
    const auto actor = service_.pool.woken(sessions_[any_session()].key.id);
    if (!actor || (writer_killed_ && !is_quiet()))
      return;
    writer_killed_ = false;
    session_killed_ = true;
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  }

  void kill_writer() {
    if (session_killed_ && !is_quiet())
      return;
    session_killed_ = false;
    writer_killed_ = true;
    service_.kill_writer();
  }

  /// Everything that was accepted is durable, says the service.
  bool is_quiet() {
    service_.steps.run();
    auto answer = service_.steps.ask<flushed>(service_.directory, flush{});
    service_.steps.run();
    collect();
    return *answer && (*answer)->has_value();
  }

  template <class Value, class Take>
  void collect_from(std::vector<asked<Value>>& list, Take take) {
    std::erase_if(list, [&](asked<Value>& each) {
      if (*each.answer)
        take(each, **each.answer);
      return each.answer->has_value();
    });
  }

  void collect() {
    collect_from(appends_, [this](const auto& each, const result<appended>& answer) {
      if (!answer)
        return;
      auto& known = sessions_[each.session];
      for (std::size_t i = 0; i < each.texts.size(); ++i)
        REQUIRE(known.accepted.emplace(answer->first_offset + static_cast<event_offset>(i), each.texts[i]).second);
      if (answer->reached == durability::durable)
        REQUIRE(service_.database->log(known.key.id).size() >=
                static_cast<std::size_t>(answer->first_offset) + each.texts.size());
    });
    collect_from(turns_, [this](const auto& each, const result<turn_record>& answer) {
      if (answer)
        ++sessions_[each.session].turns_ended;
    });
    collect_from(grants_, [this](const auto& each, const result<granted_turn>& answer) {
      if (answer)
        sessions_[each.session].running = answer->turn.id;
    });
    collect_from(creations_, [this](const auto& each, const result<session_record>& answer) {
      if (answer) {
        ++made_[each.texts.front()];
        sessions_.push_back({answer->key});
      } else if (answer.failure().code == error_code::conflict) {
        made_.try_emplace(each.texts.front(), 0); // then somebody must have it
      }
    });
  }

  void check(const known_session& known) {
    const auto& log = service_.database->log(known.key.id);
    int last = 0;
    for (std::size_t i = 0; i < log.size(); ++i) {
      REQUIRE(log[i].offset == static_cast<event_offset>(i));
      if (log[i].kind == "status" || log[i].data == "turn")
        continue;
      REQUIRE(std::stoi(log[i].data) > last); // as they were sent, none twice
      last = std::stoi(log[i].data);
    }
    for (const auto& [offset, text] : known.accepted) {
      REQUIRE(offset < static_cast<event_offset>(log.size()));
      REQUIRE(log[static_cast<std::size_t>(offset)].data == text);
    }
    REQUIRE(running_at_end_of(log) == 0);        // their leases are over
    for (std::size_t i = 0; i < log.size(); ++i) // what a turn begins with: all or nothing
      REQUIRE((log[i].data == "turn") == (i > 0 && shown(log[i - 1].kind, log[i - 1].data).starts_with("<running")));
    REQUIRE(service_.database->turn_count(known.key.id) >= known.turns_ended);
    REQUIRE(service_.database->total_tokens(known.key.id) == 7 * service_.database->turn_count(known.key.id));
  }

  std::mt19937 random_;
  stepped_service service_{short_lives()};
  std::vector<known_session> sessions_;
  std::vector<asked<appended>> appends_;
  std::vector<asked<turn_record>> turns_;
  std::vector<asked<granted_turn>> grants_;
  std::vector<asked<session_record>> creations_;
  std::map<std::string, int> made_;
  bool session_killed_ = false;
  bool writer_killed_ = false;
  int count_ = 0;
};

} // namespace

TEST_CASE("random lives of sessions keep every log whole and every name single") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const char* wanted = std::getenv("COLLOQUY_TEST_HISTORIES");
  const unsigned histories = wanted ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10)) : given ? 1 : 1000;
  for (unsigned i = 0; i < histories; ++i) {
    INFO("to repeat: COLLOQUY_TEST_SEED=" << first + i);
    life run(first + i);
    for (int step = 0; step < 80; ++step)
      run.act();
    run.finish();
  }
  std::cout << "lives of sessions: " << histories << " from seed " << first << "\n";
}
