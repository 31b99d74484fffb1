// What a writer's batch tells the server: one call a table, states of one turn folded, tenants named once.
#include "db/batch.hpp"
#include "tests/support/catch.hpp"

#include <optional>
#include <string>

using namespace colloquy;
using namespace colloquy::db;

namespace {

using texts = std::vector<std::string>;

/// The elements of a binary array as their bytes; "null" for a null one, none for the empty array.
texts elements(const std::optional<std::string>& parameter) {
  std::string_view bytes = parameter.value();
  texts out;
  if (decode_int4(bytes) == 0)
    return out;
  const auto count = decode_int4(bytes.substr(12));
  bytes.remove_prefix(20);
  for (int i = 0; i < count; ++i) {
    const auto length = decode_int4(bytes);
    bytes.remove_prefix(4);
    out.emplace_back(length < 0 ? "null" : bytes.substr(0, static_cast<std::size_t>(length)));
    bytes.remove_prefix(length < 0 ? 0 : static_cast<std::size_t>(length));
  }
  return out;
}

std::vector<std::int64_t> numbers(const std::optional<std::string>& parameter) {
  std::vector<std::int64_t> out;
  for (const auto& element : elements(parameter))
    out.push_back(decode_int8(element));
  return out;
}

texts names(const encoded_batch& batch) {
  texts out;
  for (const auto& call : batch.statements.calls)
    out.emplace_back(call.what->name);
  return out;
}

std::shared_ptr<session_write> write_of(const std::string& tenant) {
  auto write = std::make_shared<session_write>();
  write->session = {tenant_id::parse(tenant).value(), session_id::make()};
  write->log = log_id{write->session.id.bytes};
  return write;
}

void add_event(session_write& write, std::string data) {
  event entry;
  entry.role = message_role::user;
  entry.data = std::move(data);
  entry.offset = static_cast<event_offset>(write.events.size());
  write.events.push_back(std::move(entry));
}

void make_row(session_write& write, std::optional<std::string> external_id = std::nullopt) {
  session_record row;
  row.key = write.session;
  row.log = write.log;
  row.user_id = "ada";
  row.external_id = std::move(external_id);
  write.row = std::make_shared<const session_record>(row);
}

encoded_batch encode(const std::vector<session_write_ptr>& writes) {
  return encode_batch({process_id::make(), 3, 7, 41}, writes);
}

} // namespace

TEST_CASE("a batch begins with its place in the chain and its tenants, sorted and once each") {
  const process_id process = process_id::make();
  const std::vector<session_write_ptr> writes{write_of("b"), write_of("a"), write_of("b"), write_of("a-1"),
                                              write_of("a")};
  const auto batch = encode_batch({process, 3, 7, 41}, writes);
  const auto& call = batch.statements.calls.front();
  CHECK(std::string(call.what->name) == "begin_batch");
  CHECK(call.parameters[0] == encode_uuid(process.bytes));
  CHECK(call.parameters[1] == encode_int2(3));
  CHECK(call.parameters[2] == encode_int8(7));
  CHECK(call.parameters[3] == encode_int8(41));
  CHECK(call.parameters[4] == "a,a-1,b");
}

TEST_CASE("a batch calls only what it has rows for, sessions before their events") {
  auto write = write_of("acme");
  CHECK(names(encode({write})) == texts{"begin_batch"});
  add_event(*write, "{}");
  CHECK(names(encode({write})) == texts{"begin_batch", "insert_events"});
  make_row(*write);
  write->turns.emplace_back();
  write->turns_counted = 1;
  const auto full = encode({write});
  CHECK(names(full) == texts{"begin_batch", "insert_sessions", "insert_events", "upsert_turns", "count_turns"});
  CHECK(full.sessions_result == 1);
  CHECK(encode({write_of("acme")}).sessions_result == -1);
  for (const auto& call : full.statements.calls)
    CHECK(call.parameters.size() == call.what->parameter_types.size());
}

TEST_CASE("events keep the order of their writes, and what they have not is null") {
  auto first = write_of("acme"), second = write_of("other");
  add_event(*first, "1");
  add_event(*second, "2");
  add_event(*second, "3");
  second->events[1].tokens = 5;
  second->events[1].tool_call_ids = {"a\"b", "c\\", "", "NULL"};
  second->events[1].turn = turn_id::make();
  const auto batch = encode({first, second});
  const auto& parameters = batch.statements.calls.back().parameters;
  CHECK(elements(parameters[0]) == texts{"acme", "other", "other"});
  CHECK(elements(parameters[12]) == texts{"1", "2", "3"});
  CHECK(numbers(parameters[2]) == std::vector<std::int64_t>{0, 0, 1});
  CHECK(elements(parameters[6]) == texts{"null", "null", encode_uuid(second->events[1].turn.bytes)});
  CHECK(elements(parameters[7]) == texts{"null", "null", encode_int4(5)});
  CHECK(elements(parameters[9]) == texts{"null", "null", R"({"a\"b","c\\","","NULL"})"});
  CHECK(elements(parameters[10]).empty()); // nobody has a source
}

TEST_CASE("several states of one turn are one row, the last") {
  auto write = write_of("acme");
  turn_record first, second;
  first.id = turn_id::make();
  first.number = 1;
  second.id = turn_id::make();
  second.number = 2;
  write->turns = {first};
  auto later = write_of("acme");
  later->session = write->session;
  first.status = turn_status::completed;
  first.usage = token_usage{30, 12};
  first.ended_at = timestamp{};
  later->turns = {first, second};
  const auto batch = encode({write, later});
  const auto& parameters = batch.statements.calls.back().parameters;
  CHECK(numbers(parameters[2]) == std::vector<std::int64_t>{1, 2});
  CHECK(elements(parameters[4]) == texts{"completed", "running"});
  CHECK(elements(parameters[7]) == texts{encode_timestamp({}), "null"});
  CHECK(elements(parameters[8]) == texts{encode_int8(30), "null"});
  CHECK(elements(parameters[9]) == texts{encode_int8(12), "null"});
}

TEST_CASE("the counters of one session are one change") {
  auto first = write_of("acme"), second = write_of("acme"), again = write_of("acme");
  again->session = first->session;
  first->turns_counted = 1;
  first->tokens_counted = 10;
  second->tokens_counted = 7;
  again->turns_counted = 2;
  again->tokens_counted = 5;
  const auto batch = encode({first, second, again, write_of("acme")});
  const auto& parameters = batch.statements.calls.back().parameters;
  CHECK(elements(parameters[1]) == texts{encode_uuid(first->session.id.bytes), encode_uuid(second->session.id.bytes)});
  CHECK(numbers(parameters[2]) == std::vector<std::int64_t>{3, 0});
  CHECK(numbers(parameters[3]) == std::vector<std::int64_t>{15, 7});
}

TEST_CASE("a session that the server did not report as made has its external id taken") {
  auto made = write_of("acme"), taken = write_of("acme"), no_row = write_of("acme");
  make_row(*made);
  make_row(*taken, "ticket");
  unit_outcome outcome;
  outcome.results.resize(2); // no session reported at all
  const std::vector<session_write_ptr> writes{taken, no_row};
  const auto keys = taken_external_ids(1, outcome, writes);
  REQUIRE(keys.size() == 1);
  CHECK(keys[0] == taken->session);
  CHECK(taken_external_ids(-1, outcome, writes).empty());
}

TEST_CASE("a claim that failed, or has no row, is no claim") {
  CHECK_FALSE(decode_claim({{}, db_failure{failure_kind::fence, "CQ001", ""}}));
  CHECK_FALSE(decode_claim({{}, {}}));
  unit_outcome without_rows;
  without_rows.results.resize(1);
  CHECK_FALSE(decode_claim(without_rows));
}
