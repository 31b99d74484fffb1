// What the log says of a conversation, and what it never says.
#include "actors/log_line.hpp"
#include "tests/actors/conversation_fixture.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// The log of this process while it lives: every level, nothing but the text.
class captured_log {
public:
  captured_log()
    : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(written_));
    logger->set_level(spdlog::level::trace);
    logger->set_pattern("%l: %v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~captured_log() { spdlog::set_default_logger(before_); }

  texts lines() const {
    texts out;
    std::istringstream from(written_.str());
    for (std::string line; std::getline(from, line);)
      out.push_back(line);
    return out;
  }
  std::string all() const { return written_.str(); }
  texts with(const std::string& part) const {
    auto found = lines();
    std::erase_if(found, [&](const auto& line) { return line.find(part) == std::string::npos; });
    return found;
  }

private:
  std::ostringstream written_;
  std::shared_ptr<spdlog::logger> before_;
};

} // namespace

TEST_CASE("what happens to a session is logged with its tenant and id, and with turn and trace id while a turn runs") {
  captured_log log;
  stepped_service service(short_idle());
  const auto session = service.make_session("acme");
  start_turn request;
  request.session = session;
  request.trace_id = "4bf92f3577b34da6";
  const auto turn = ask(service, request).value().turn;
  REQUIRE(ask(service, end_of(session, turn.id)));
  passivate(service);
  REQUIRE(ask(service, get_session{session, {}}));

  const auto of_session = " [tenant=acme session=" + session.id.to_string();
  const auto of_turn = of_session + " turn=" + turn.id.to_string() + " trace_id=4bf92f3577b34da6]";
  CHECK(log.with(of_session) == texts{"debug: made" + of_session + "]", "debug: turn 1 begins" + of_turn,
                                      "debug: turn 1 ends: completed" + of_turn, "debug: asleep" + of_session + "]",
                                      "debug: awake" + of_session + "]"});
}

TEST_CASE("a turn whose lease runs out is logged at info, with turn and trace id") {
  captured_log log;
  stepped_service service;
  const auto session = service.make_session("acme");
  start_turn request;
  request.session = session;
  request.trace_id = "t-1";
  request.lease = 2s;
  const auto turn = ask(service, request).value().turn;
  service.steps.advance(4s, 500ms);
  CHECK(log.with("is lost") == texts{"info: the turn is lost: its lease ran out [tenant=acme session=" +
                                    session.id.to_string() + " turn=" + turn.id.to_string() + " trace_id=t-1]"});
}

TEST_CASE("a trace id cannot make up a line or a field of the log") {
  captured_log log;
  const session_key session{tenant_id::parse("acme").value(), session_id::make()};
  actors::log_about(spdlog::level::warn, {session, {}, "a b\n\"tenant=evil\\"}, "{} things", 3);
  CHECK(log.lines() == texts{"warning: 3 things [tenant=acme session=" + session.id.to_string() +
                             " trace_id=a\\x20b\\x0a\\x22tenant=evil\\x5c]"});
}

TEST_CASE("the parts of a line are there for a formatter while it is written, and then no more") {
  captured_log log;
  struct reads_parts : spdlog::formatter {
    void format(const spdlog::details::log_msg&, spdlog::memory_buf_t& to) override {
      const auto* line = actors::current_log_line();
      const auto text = line ? std::string(line->text) + "|" + line->about.session.tenant.text() + "\n" : "none\n";
      to.append(text.data(), text.data() + text.size());
    }
    std::unique_ptr<formatter> clone() const override { return std::make_unique<reads_parts>(); }
  };
  spdlog::default_logger()->set_formatter(std::make_unique<reads_parts>());
  const session_key session{tenant_id::parse("acme").value(), session_id::make()};
  actors::log_about(spdlog::level::warn, {session}, "said");
  spdlog::warn("something else");
  CHECK(log.all() == "said|acme\nnone\n");
}

TEST_CASE("nothing that is said in a session, and nobody who takes part, is in the log at any level") {
  captured_log log;
  stepped_service service(short_idle());
  auto wanted = creation("extern-word");
  wanted.user_id = "user-word";
  wanted.title = "title-word";
  wanted.metadata = R"({"k":"metadata-word"})";
  const auto session = ask(service, wanted).value().key;
  REQUIRE(ask(service, append_of(session, {message("\"content-word\"")}, idempotency{"key-word", "f"})));
  const auto turn = start(service, session);
  auto end = end_of(session, turn.id, turn_status::failed);
  end.reason = "reason-word";
  REQUIRE(ask(service, end));
  service.database->poison = "poison-word";
  REQUIRE(ask(service, append_of(session, {message("\"poison-word\"")})));
  service.steps.advance(3s);
  CHECK_FALSE(log.with("error: the session stops").empty());
  CHECK(log.with("-word").empty());
}
