// Conversations in which every text is a word that is nowhere else, and where such words are looked for: as bytes in
// every table and in the journal's files, and in whatever the service answers.
#pragma once

#include "tests/actors/journal_fixture.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/test_service.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

using word_set = std::set<std::string>;

/// Words of one conversation, each named by where it is said. None is part of another.
class topic {
public:
  explicit topic(std::string name)
    : name_(std::move(name)) {}

  std::string word(const std::string& place) const { return "zq" + name_ + "x" + place + "qz"; }
  std::string json(const std::string& place) const { return R"({"role":"user","content":")" + word(place) + R"("})"; }
  event_input message(const std::string& place) const {
    event_input input;
    input.role = message_role::user;
    input.data = json(place);
    return input;
  }
  idempotency repeat(const std::string& place) const { return {word(place), word(place + "print")}; }

private:
  std::string name_;
};

/// Where a caller can say something that is kept: with the making of a session, and in it.
inline std::vector<std::string> made_places() {
  return {"user", "agent", "external", "title", "metakey", "metavalue", "createkey", "createkeyprint"};
}
inline std::vector<std::string> said_places() {
  return {"guest",          "said",  "custom",  "call",         "calls",     "source", "trace",  "appendkey",
          "appendkeyprint", "asked", "turnkey", "turnkeyprint", "turntrace", "inturn", "reason", "answer"};
}
inline std::vector<std::string> places() {
  auto all = made_places();
  for (auto& each : said_places())
    all.push_back(std::move(each));
  return all;
}

/// The words of these places that are in the text.
inline word_set words_in(const std::string& text, const topic& of) {
  word_set found;
  for (const auto& place : places())
    if (text.find(of.word(place)) != std::string::npos)
      found.insert(place);
  return found;
}
inline word_set all_of(const std::vector<std::string>& where) {
  return {where.begin(), where.end()};
}

// --- what is answered, as text
// -----------------------------------------------------------------------------------------

inline std::string text_of(const session_record& record) {
  return record.user_id + ' ' + record.agent_id.value_or("") + ' ' + record.external_id.value_or("") + ' ' +
         record.title.value_or("") + ' ' + record.metadata + '\n';
}
inline std::string text_of(const event& entry) {
  auto text = entry.data + ' ' + entry.tool_call_id + ' ' + entry.source + ' ' + entry.trace_id + ' ' + entry.author;
  for (const auto& each : entry.tool_call_ids)
    text += ' ' + each;
  return text + '\n';
}
inline std::string text_of(const turn_record& turn) {
  return turn.trace_id + '\n';
}
inline std::string text_of(const participant& each) {
  return each.user_id + '\n';
}
template <class Value>
std::string text_of(const std::vector<Value>& values) {
  std::string text;
  for (const auto& each : values)
    text += text_of(each);
  return text;
}
inline std::string text_of(const session_page& page) {
  return text_of(page.sessions);
}
inline std::string text_of(const event_page& page) {
  return text_of(page.events);
}
inline std::string text_of(const history_page& page) {
  return text_of(page.messages);
}
inline std::string text_of(const turn_page& page) {
  return text_of(page.turns);
}
inline std::string text_of(const participant_list& list) {
  return text_of(list.participants);
}
inline std::string text_of(const appended&) {
  return {};
}
inline std::string text_of(const subscribed&) {
  return {};
}
inline std::string text_of(const granted_turn& granted) {
  return text_of(granted.turn) + text_of(granted.history);
}
template <class Value>
std::string text_of(const result<Value>& answer) {
  return answer ? text_of(*answer) : answer.failure().message + '\n';
}

// --- who listens
// -------------------------------------------------------------------------------------------------------

/// What came to a subscriber, as text; and how it ended.
class heard {
public:
  void add(const std::string& text) {
    const std::lock_guard lock(mutex_);
    text_ += text;
  }
  void end(const error& why) {
    const std::lock_guard lock(mutex_);
    end_ = why;
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  std::optional<error> ended() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }

private:
  mutable std::mutex mutex_;
  std::string text_;
  std::optional<error> end_;
};

inline event_subscriber::behavior_type listen(event_subscriber::pointer, const std::shared_ptr<heard>& into) {
  return {[into](const events_arrived& news) { into->add(text_of(*news.events)); },
          [into](const delta_arrived& delta) { into->add(*delta.text + ' ' + *delta.data); },
          [into](const subscription_ended& end) { into->end(end.why); }};
}

// --- the service, and where to look
// ------------------------------------------------------------------------------------

class traced_service {
public:
  traced_service() { start(); }

  test_service& operator*() { return *service_; }

  template <class Request>
  result<typename Request::reply> ask(Request request) {
    return service_->ask<typename Request::reply>(std::move(request));
  }
  template <class Request>
  typename Request::reply must(Request request) {
    auto answer = ask(std::move(request));
    INFO((answer ? "" : answer.failure().message));
    REQUIRE(answer);
    return std::move(answer).value();
  }

  session_key create(const topic& of, const std::string& user) {
    create_session request;
    request.tenant = tenant("acme");
    request.user_id = user;
    request.agent_id = of.word("agent");
    request.external_id = of.word("external");
    request.title = of.word("title");
    request.metadata = "{\"" + of.word("metakey") + "\": \"" + of.word("metavalue") + "\"}";
    request.repeat = of.repeat("createkey");
    return must(std::move(request)).key;
  }

  /// Says all of places() in a new session; a guest takes part. While nothing can become durable, the journal is the
  /// only one to keep what is accepted: then it must have all that was said since the session was made. Durable then.
  session_key have_conversation(const topic& of) {
    const auto session = create(of, of.word("user"));
    must(set_participant{session, of.word("guest"), participant_role::writer});
    {
      test_connection holding(service_->database().superuser_conninfo());
      holding.exec("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE");
      say_as_guest(session, of);
      fail_a_turn(session, of);
      complete_a_turn(session, of);
      CHECK(std::ranges::includes(in_journal(of), all_of(said_places())));
    }
    must(flush{});
    return session;
  }

  void say_as_guest(const session_key& session, const topic& of) {
    append_events request;
    request.session = session;
    request.as_user = of.word("guest");
    request.repeat = of.repeat("appendkey");
    request.events = {of.message("said"), of.message("said")};
    request.events[0].tool_call_id = of.word("call");
    request.events[0].source = of.word("source");
    request.events[0].trace_id = of.word("trace");
    request.events[1].kind = event_kind::custom;
    request.events[1].role = message_role::none;
    request.events[1].data = of.json("custom");
    request.events[1].tool_call_ids = {of.word("calls")};
    must(std::move(request));
  }

  /// With parts of a reply, which are not kept.
  void fail_a_turn(const session_key& session, const topic& of) {
    start_turn request;
    request.session = session;
    request.events = {of.message("asked")};
    request.trace_id = of.word("turntrace");
    request.repeat = of.repeat("turnkey");
    const auto turn = must(std::move(request)).turn.id;
    must(post_delta{session, turn, of.word("delta"), "{\"x\":\"" + of.word("deltadata") + "\"}"});
    append_events more;
    more.session = session;
    more.turn = turn;
    more.events = {of.message("inturn")};
    must(std::move(more));
    end_turn end;
    end.session = session;
    end.turn = turn;
    end.outcome = turn_status::failed;
    end.reason = of.word("reason");
    must(std::move(end));
  }

  void complete_a_turn(const session_key& session, const topic& of) {
    start_turn request;
    request.session = session;
    end_turn end;
    end.session = session;
    end.turn = must(std::move(request)).turn.id;
    end.events = {of.message("answer")};
    must(std::move(end));
  }

  std::shared_ptr<heard> listen_to(const session_key& session) {
    auto into = std::make_shared<heard>();
    must(subscribe_events{session, service_->system().spawn(listen, into)});
    return into;
  }

  // Where to look.

  /// All rows of all tables of the schema, each as text, past row level security; bytes are in it in hexadecimal.
  std::string all_tables() const {
    const auto& database = service_->database();
    std::string text;
    for (const auto& table : database.exec("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                                           " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"))
      for (const auto& row : database.exec("SELECT t::text FROM " + table[0] + " AS t"))
        text += row[0] + '\n';
    return text;
  }

  word_set in_tables(const topic& of) const {
    const auto text = all_tables();
    auto found = words_in(text, of);
    for (const auto& place : places())
      if (text.find(hexadecimal(of.word(place))) != std::string::npos)
        found.insert(place);
    return found;
  }

  word_set in_journal(const topic& of) const {
    word_set found;
    for (const auto& place : places())
      if (!files_with(journal_.path(), of.word(place)).empty())
        found.insert(place);
    return found;
  }

  std::string history_of(const session_key& session) { return text_of(ask(read_history{session})); }

  /// Whatever can be asked about a session, or finds it.
  std::string replies_about(const session_key& session) {
    std::string text =
        text_of(ask(get_session{session})) + text_of(ask(list_turns{session})) +
        text_of(ask(subscribe_events{session, service_->system().spawn(listen, std::make_shared<heard>())}));
    read_history history{session};
    text += text_of(ask(history));
    history.order = history_order::descending;
    text += text_of(ask(history));
    history.token_budget = limits::token_budget_max;
    text += text_of(ask(history));
    read_events events{session};
    text += text_of(ask(events));
    events.from_database = true;
    text += text_of(ask(events));
    list_sessions list;
    list.tenant = session.tenant;
    text += text_of(ask(list));
    return text;
  }

private:
  static std::string hexadecimal(const std::string& bytes) {
    std::string text;
    for (const char c : bytes) {
      static constexpr const char* digits = "0123456789abcdef";
      text += digits[static_cast<unsigned char>(c) >> 4];
      text += digits[static_cast<unsigned char>(c) & 15];
    }
    return text;
  }

  void start() {
    auto settings = small_settings();
    settings.journal = true;
    settings.journal_path = journal_ / "journal";
    service_.emplace(settings);
  }

  temp_dir journal_;
  std::optional<test_service> service_;
};

} // namespace colloquy::test
