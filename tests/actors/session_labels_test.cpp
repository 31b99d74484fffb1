// What frameworks keep of a session beside its log: labels, mode, how far clients have read.
#include "tests/actors/conversation_fixture.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

update_session change(const session_key& session) {
  update_session request;
  request.session = session;
  return request;
}

std::size_t listed(stepped_service& service, texts labels, std::optional<std::string> user = std::nullopt) {
  list_sessions request;
  request.tenant = tenant_id::parse("acme").value();
  request.labels = std::move(labels);
  request.user_id = std::move(user);
  return ask(service, request).value().sessions.size();
}

} // namespace

TEST_CASE("labels are a set: given, added, taken away, and kept while the session sleeps", "[labels]") {
  stepped_service service(short_idle());
  auto request = creation();
  request.labels = {"vip", "b", "vip"};
  const auto made = ask(service, request).value();
  CHECK(made.labels == texts{"b", "vip"});
  auto more = change(made.key);
  more.add_labels = {"a", "b"};
  more.remove_labels = {"vip", "never there"};
  CHECK(ask(service, more)->labels == texts{"a", "b"});
  passivate(service);
  CHECK(ask(service, get_session{made.key})->labels == texts{"a", "b"});
  auto others = change(made.key);
  others.labels = texts{"z", "y", "z"};
  CHECK(ask(service, others)->labels == texts{"y", "z"});
  others.labels = texts{};
  CHECK(ask(service, others)->labels.empty());
}

TEST_CASE("mode and consumption offsets are kept, each client's by itself", "[labels]") {
  stepped_service service(short_idle());
  auto request = creation();
  request.mode = session_mode::manual;
  request.consumption_offsets = {{"ui", 3}};
  const auto session = ask(service, request).value().key;
  auto one = change(session);
  one.consumption_offsets = {{"phone", 7}};
  REQUIRE(ask(service, one));
  auto other = change(session);
  other.consumption_offsets = {{"ui", 5}};
  other.mode = session_mode::automatic;
  const auto changed = ask(service, other).value();
  CHECK(changed.consumption_offsets == consumption_map{{"phone", 7}, {"ui", 5}});
  CHECK(changed.mode == session_mode::automatic);
  CHECK(changed.version == 3);
  auto gone = change(session);
  gone.consumption_offsets = {{"phone", std::nullopt}, {"never there", std::nullopt}};
  gone.mode = session_mode::manual;
  REQUIRE(ask(service, gone));
  passivate(service);
  const auto now = ask(service, get_session{session}).value();
  CHECK(now.consumption_offsets == consumption_map{{"ui", 5}});
  CHECK(now.mode == session_mode::manual);
}

TEST_CASE("sessions are found by their labels", "[labels]") {
  stepped_service service;
  auto request = creation();
  request.labels = {"a", "b"};
  const auto both = ask(service, request).value().key;
  request.labels = {"a"};
  request.user_id = "bob";
  REQUIRE(ask(service, request));
  service.make_session();
  CHECK(listed(service, {}) == 3);
  CHECK(listed(service, {"a"}) == 2);
  CHECK(listed(service, {"a", "b"}) == 1);
  CHECK(listed(service, {"a"}, "bob") == 1);
  CHECK(listed(service, {"c"}) == 0);
  auto less = change(both);
  less.remove_labels = {"a"};
  REQUIRE(ask(service, less));
  CHECK(listed(service, {"a"}) == 1);
  list_sessions wrong;
  wrong.tenant = both.tenant;
  wrong.labels = {""};
  CHECK(refusal(service, wrong) == error_code::invalid_request);
}

TEST_CASE("a fork has its parent's labels and mode, and nobody has read it", "[labels]") {
  stepped_service service;
  auto request = creation();
  request.labels = {"a"};
  request.mode = session_mode::manual;
  request.consumption_offsets = {{"ui", 1}};
  const auto session = ask(service, request).value().key;
  append_numbered(service, session, 0, 1);
  const auto fork = ask(service, fork_session{session, 0}).value();
  CHECK(fork.labels == texts{"a"});
  CHECK(fork.mode == session_mode::manual);
  CHECK(fork.consumption_offsets.empty());
}

TEST_CASE("labels and consumption offsets have bounds", "[labels]") {
  stepped_service service;
  texts many;
  for (std::size_t i = 0; i < limits::session_labels_max; ++i)
    many.push_back("label " + std::to_string(i));
  auto request = creation();
  request.labels = many;
  const auto session = ask(service, request).value().key;
  auto one_more = change(session);
  one_more.add_labels = {"one more"};
  CHECK(refusal(service, one_more) == error_code::invalid_request);
  one_more.remove_labels = {many.front()};
  CHECK_FALSE(refusal(service, one_more));
  for (const auto& wrong : {std::string(), std::string(256, 'x'), std::string("\xFF"), std::string("a\0b", 3)}) {
    auto labelled = change(session);
    labelled.labels = texts{wrong};
    CHECK(refusal(service, labelled) == error_code::invalid_request);
    auto reading = change(session);
    reading.consumption_offsets = {{wrong, 1}};
    CHECK(refusal(service, reading) == error_code::invalid_request);
  }
  for (const std::int64_t wrong : {std::int64_t{-1}, limits::consumption_offset_max + 1}) {
    auto reading = change(session);
    reading.consumption_offsets = {{"ui", wrong}};
    CHECK(refusal(service, reading) == error_code::invalid_request);
  }
  auto crowd = change(session);
  for (std::size_t i = 0; i <= limits::session_consumers_max; ++i)
    crowd.consumption_offsets["client " + std::to_string(i)] = 1;
  CHECK(refusal(service, crowd) == error_code::invalid_request);
  CHECK(ask(service, get_session{session})->consumption_offsets.empty());
}
