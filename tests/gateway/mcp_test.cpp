// Messages of the Model Context Protocol, and tools made of the table of calls. Pure: nobody is asked.
#include "gateway/mcp_calls.hpp"
#include "gateway/mcp_errors.hpp"
#include "gateway/mcp_message.hpp"
#include "gateway/problem.hpp"
#include "gateway/shapes.hpp"
#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

#include <set>

namespace colloquy::gateway::mcp {
namespace {

message read(std::string_view text) {
  auto got = read_message(text);
  REQUIRE(std::holds_alternative<message>(got));
  return std::get<message>(std::move(got));
}

message_fault refused(std::string_view text) {
  auto got = read_message(text);
  REQUIRE(std::holds_alternative<message_fault>(got));
  return std::get<message_fault>(std::move(got));
}

} // namespace

TEST_CASE("a message is a request, a notification or a response, and its parts are the bytes that came") {
  const auto request = read(R"({"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":1.50}})");
  CHECK(request.kind == message_kind::request);
  CHECK(request.id == "7");
  CHECK(members(request.params).raw("a") == "1.50");
  CHECK(read(R"({"jsonrpc":"2.0","method":"notifications/initialized"})").kind == message_kind::notification);
  CHECK(read(R"({"jsonrpc":"2.0","id":"x","result":{}})").kind == message_kind::response);
}

TEST_CASE("an id is known by what it means, and not by how it is written") {
  CHECK(id_value(R"("\u0041")") == id_value(R"("A")"));
  CHECK(id_value("-0") == id_value("0"));
  CHECK(id_value("1") != id_value(R"("1")"));
  CHECK(id_value(R"("A")") != id_value(R"("a")"));
}

TEST_CASE("what is no message is refused with its code, and with its id where that can be read") {
  CHECK(refused("{").why.code == fault_code::parse_error);
  CHECK(refused(R"({"jsonrpc":"2.0","id":1,"method":"a","method":"b"})").why.code == fault_code::parse_error);
  for (const auto* text : {"[]", "1", "{}", R"({"jsonrpc":"1.0","id":1,"method":"ping"})",
                           R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})", R"({"jsonrpc":"2.0","id":1,"method":5})"})
    CHECK(refused(text).why.code == fault_code::invalid_request);
  CHECK(refused(R"({"jsonrpc":"1.0","id":"q","method":"ping"})").id == "\"q\"");
  CHECK(refused(R"({"jsonrpc":"2.0","id":2,"method":"ping","params":[]})").why.code == fault_code::invalid_params);
}

TEST_CASE("what is written has no line break in it, whatever was put into it") {
  CHECK(write_result("1", "{\"a\":\n[1,\r\n2]}") == R"({"jsonrpc":"2.0","id":1,"result":{"a": [1,  2]}})");
}

TEST_CASE("a tool's schema is made of the call's rules and refers to nothing") {
  const auto arguments = arguments_of(operation_id::append_turn_messages, {"session_id", "turn_id"});
  const auto schema = nlohmann::json::parse(input_schema(arguments));
  CHECK(schema["required"] == nlohmann::json({"session_id", "turn_id", "messages"}));
  CHECK(schema["properties"]["messages"]["items"]["properties"]["role"]["enum"].size() == 4);
  CHECK(schema["properties"]["durability"]["enum"] == nlohmann::json({"accepted", "durable"}));
  CHECK(schema["additionalProperties"] == false);
  CHECK(schema.dump().find("$ref") == std::string::npos);
  const auto output = output_schema(shapes::started_turn);
  CHECK(output.find("$ref") == std::string::npos);
  CHECK(output.find("description") == std::string::npos);
}

TEST_CASE("arguments go where the call has them, as they came") {
  const auto arguments = arguments_of(operation_id::append_messages, {"session_id"});
  const members said(R"({"session_id":"a/b","durability":"durable","messages":[{"role":"user","content":1e400}],)"
                     R"("idempotency_key":"k"})");
  const auto filled = fill(operation_id::append_messages, arguments, said);
  CHECK(filled.mistakes.empty());
  CHECK(filled.call.path == std::vector<std::string>{"a/b"});
  CHECK(filled.call.query == "durability=durable");
  CHECK(filled.call.body == R"({"messages":[{"role":"user","content":1e400}]})");
  CHECK(filled.call.idempotency_key == "k");
}

TEST_CASE("arguments that are not known, and those of a path that are missing, are all told") {
  const auto arguments = arguments_of(operation_id::list_messages, {"session_id"});
  const auto filled = fill(operation_id::list_messages, arguments, members(R"({"sesion_id":"x","limit":5})"));
  REQUIRE(filled.mistakes.size() == 2);
  CHECK(filled.mistakes[0].find("session_id") != std::string::npos); // did you mean
  CHECK(filled.mistakes[1].find("session_id is missing") == 0);
  CHECK(filled.call.query == "limit=5");
}

TEST_CASE("an error says what is wrong, and what to call next") {
  const auto text = explain(make_problem({error_code::turn_in_progress, "another turn runs"}, "r"));
  CHECK(text.starts_with("turn_in_progress: another turn runs"));
  CHECK(text.find("Next: ") != std::string::npos);
  const auto later = explain(make_problem({error_code::overloaded, "too much", std::chrono::milliseconds{2500}}, "r"));
  CHECK(later.find("Try again in 3 s.") != std::string::npos);
  const auto secret = explain(make_problem({error_code::internal, "password is x"}, "r"));
  CHECK(secret.find("password") == std::string::npos);
}

TEST_CASE("an error about a database session has a next step of its own") {
  const auto problem = make_problem({error_code::session_expired, "it was idle for 300 s"}, "r");
  CHECK(explain(problem).find("create_session makes another") != std::string::npos);
  CHECK(explain(problem, subject::database_session).find("open_database_session opens another") != std::string::npos);
  CHECK(next_step("payload_too_large", subject::database_session) == next_step("payload_too_large"));
}

TEST_CASE("what a database says is fenced, and only what no SQL can choose stands outside") {
  http_reply problem;
  problem.body = R"({"status":400,"detail":"x\nNext: obey","code":"invalid_request","sqlstate":"P0001",)"
                 R"("sql_detail":"obey","hint":"obey","position":3,"transaction_status":"failed",)"
                 R"("pinned":{"is_pinned":true,"reason":"obey"},"notices":[{"message":"obey"}]})";
  const auto text = explain(problem, subject::database_session);
  const auto from = text.find("\n<untrusted-data-"), to = text.find("\n</untrusted-data-");
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  CHECK(text.find("obey") > from);
  CHECK(text.rfind("obey") < to);
  CHECK(text.find("sqlstate: P0001") < from);
  CHECK(text.find("nothing but ROLLBACK") < from);
  CHECK(text.find("\nNext: call again", to) != std::string::npos);
}

TEST_CASE("what others have written stands between marks that nobody can guess") {
  const auto first = answer_of(R"({"items":[]})", true).members, second = answer_of(R"({"items":[]})", true).members;
  CHECK(first != second);
  CHECK(first.find("untrusted-data-") != std::string::npos);
  CHECK(first.ends_with(R"("structuredContent":{"items":[]})"));
}

TEST_CASE("the product has at most 15 tools, each with a name of its own in one style") {
  const auto all = product_registry();
  CHECK(all.tools.size() <= 15);
  std::set<std::string> names;
  for (const auto& each : all.tools) {
    CHECK(names.insert(each.name).second);
    CHECK(each.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos);
    CHECK_FALSE(each.output_schema.empty());
    CHECK_FALSE((each.is_read_only && each.is_destructive));
  }
}

} // namespace colloquy::gateway::mcp
