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
  std::vector<event> events;
  if (write.events)
    events = *write.events;
  entry.offset = static_cast<event_offset>(events.size());
  entry.messages = entry.offset + 1;
  events.push_back(std::move(entry));
  write.events = std::make_shared<const std::vector<event>>(std::move(events));
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
  CHECK(names(encode({write})) == texts{"begin_batch", "insert_plain_events"});
  make_row(*write);
  write->turns.emplace_back();
  write->turns_counted = 1;
  const auto full = encode({write});
  CHECK(names(full) == texts{"begin_batch", "insert_sessions", "insert_plain_events", "upsert_turns", "count_turns"});
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
  auto events = *second->events;
  events[1].tokens = 5;
  events[1].tool_call_ids = {"a\"b", "c\\", "", "NULL"};
  events[1].turn = turn_id::make();
  events[1].author = "bob";
  second->events = std::make_shared<const std::vector<event>>(events);
  const auto batch = encode({first, second});
  const auto& parameters = batch.statements.calls.back().parameters;
  CHECK(elements(parameters[0]) == texts{"acme", "other", "other"});
  CHECK(elements(parameters[6]) == texts{"1", "2", "3"});
  CHECK(numbers(parameters[2]) == std::vector<std::int64_t>{0, 0, 1});
  CHECK(elements(parameters[8]) == texts{"null", "null", encode_uuid(events[1].turn.bytes)});
  CHECK(elements(parameters[9]) == texts{"null", "null", encode_int4(5)});
  CHECK(elements(parameters[11]) == texts{"null", "null", R"({"a\"b","c\\","","NULL"})"});
  CHECK(elements(parameters[12]).empty()); // nobody has a source
  CHECK(numbers(parameters[7]) == std::vector<std::int64_t>{1, 1, 2});
  CHECK(elements(parameters[14]) == texts{"null", "null", "bob"});
}

TEST_CASE("several states of one turn are one row, the last") {
  auto write = write_of("acme");
  turn_row first, second;
  first.id = turn_id::make();
  first.number = 1;
  second.id = turn_id::make();
  second.number = 2;
  second.lease_expires_at = second.started_at;
  second.granted_by = process_id::make();
  second.first_offset = 9;
  first.first_offset = 7;
  first.lease_expires_at = first.started_at;
  write->turns = {first};
  auto later = write_of("acme");
  later->session = write->session;
  later->log = write->log;
  first.status = turn_status::completed;
  first.usage = token_usage{30, 12};
  first.ended_at = timestamp{};
  first.lease_expires_at.reset();
  first.messages = 2;
  later->turns = {first, second};
  const auto batch = encode({write, later});
  const auto& parameters = batch.statements.calls.back().parameters;
  CHECK(numbers(parameters[2]) == std::vector<std::int64_t>{1, 2});
  CHECK(elements(parameters[4]) == texts{"completed", "running"});
  CHECK(elements(parameters[7]) == texts{encode_timestamp({}), "null"});
  CHECK(elements(parameters[8]) == texts{"null", encode_timestamp(second.started_at)});
  CHECK(elements(parameters[9]) == texts{encode_int8(30), "null"});
  CHECK(elements(parameters[10]) == texts{encode_int8(12), "null"});
  CHECK(elements(parameters[11]) == texts{"null", encode_uuid(second.granted_by.bytes)});
  CHECK(elements(parameters[12]) == texts{encode_uuid(write->log.bytes), encode_uuid(write->log.bytes)});
  CHECK(numbers(parameters[13]) == std::vector<std::int64_t>{7, 9});
  CHECK(numbers(parameters[14]) == std::vector<std::int64_t>{2, 0});
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

TEST_CASE("what few batches have is called in one order: keys, sessions, logs, and the erased at the end") {
  auto made = write_of("acme"), fork = write_of("acme"), asked = write_of("acme"), gone = write_of("acme");
  make_row(*made);
  CHECK(names(encode({made})) == texts{"begin_batch", "insert_sessions"});
  make_row(*fork);
  fork->parent = log_parent{made->log, 3, 2};
  CHECK(names(encode({made, fork})) == texts{"begin_batch", "insert_sessions", "add_forks"});
  fork->key = remembered_key{};
  asked->key = remembered_key{};
  asked->participants = {{"bob", participant_role::reader}, {"eve", std::nullopt}};
  asked->changed = made->row;
  add_event(*asked, "{}");
  asked->turns_counted = 1;
  gone->erases = true;
  const auto full = encode({made, fork, asked, gone});
  CHECK(names(full) == texts{"begin_batch", "insert_creation_keys", "insert_keyed_sessions", "drop_unused_keys",
                             "add_forks", "insert_plain_events", "insert_keys", "upsert_participants",
                             "delete_participants", "update_sessions", "count_turns", "begin_erasures"});
  CHECK(full.sessions_result == 2);
  for (const auto& call : full.statements.calls)
    CHECK(call.parameters.size() == call.what->parameter_types.size());
}

TEST_CASE("a creation's key is kept under no session, a fork's under the one it was forked from") {
  auto made = write_of("acme"), fork = write_of("acme"), asked = write_of("acme");
  make_row(*made);
  auto record = *made->row;
  record.key = fork->session;
  record.parent = made->session.id;
  fork->row = std::make_shared<const session_record>(record);
  made->key = fork->key = asked->key = remembered_key{};
  made->key->scope = "create";
  made->key->key = "a";
  fork->key->scope = "fork";
  fork->key->key = "b";
  asked->key->scope = "append";
  const auto batch = encode({fork, made, asked});
  const auto& creations = batch.statements.calls[1].parameters;
  CHECK(elements(creations[1]) == texts{encode_uuid({}), encode_uuid(made->session.id.bytes)}); // sorted
  CHECK(elements(creations[3]) == texts{"a", "b"});
  CHECK(elements(creations[5]) == texts{encode_uuid(made->session.id.bytes), encode_uuid(fork->session.id.bytes)});
  const auto& appended = batch.statements.calls.back().parameters;
  CHECK(elements(appended[1]) == texts{encode_uuid(asked->session.id.bytes)});
}

TEST_CASE("a row's changes and a participant's are the last of the batch") {
  auto first = write_of("acme"), second = write_of("acme");
  second->session = first->session;
  session_record row;
  row.title = "one";
  first->changed = std::make_shared<const session_record>(row);
  first->participants = {{"bob", participant_role::reader}, {"eve", std::nullopt}};
  row.title.reset();
  row.version = 2;
  second->changed = std::make_shared<const session_record>(row);
  second->participants = {{"bob", participant_role::writer}};
  const auto batch = encode({first, second});
  REQUIRE(names(batch) == texts{"begin_batch", "upsert_participants", "delete_participants", "update_sessions"});
  CHECK(elements(batch.statements.calls[1].parameters[3]) == texts{"writer"});
  CHECK(elements(batch.statements.calls[2].parameters[2]) == texts{"eve"});
  CHECK(elements(batch.statements.calls[3].parameters[2]).empty());
  CHECK(numbers(batch.statements.calls[3].parameters[6]) == std::vector<std::int64_t>{2});
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
