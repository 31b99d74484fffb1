// Batches against a real server: what they leave behind, and what they leave alone.
#include "tests/db/session_store.hpp"

#include <future>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

remembered_key remembered(const std::string& scope, const std::string& key) {
  remembered_key out;
  out.scope = scope;
  out.key = key;
  out.fingerprint = "print of " + key;
  out.made_at = record_of(new_key()).created_at;
  return out;
}

std::optional<remembered_key> find(session_store& store, session_id session, const std::string& scope,
                                   const std::string& key, const std::string& tenant = "acme") {
  auto found = decode_key(store.run(find_key(tenant_id::parse(tenant).value(), session, scope, key)));
  REQUIRE(found);
  return *found;
}

draft making_with_key(const session_key& session, const std::string& key, const std::string& external_id = "") {
  auto record = record_of(session);
  if (!external_id.empty())
    record.external_id = external_id;
  auto write = making(record);
  write->key = remembered("create", key);
  return write;
}

} // namespace

TEST_CASE("a session is read back as it was written, its counters, turn and participants with it") {
  session_store store;
  const auto key = new_key();
  auto record = record_of(key);
  record.agent_id = "helper";
  record.external_id = "ticket 7";
  record.title = "A title";
  record.expires_at = record.created_at + std::chrono::hours{24};
  record.expires_in = std::chrono::hours{24};
  record.metadata = R"({"b":1.0,  "a":2})";
  CHECK(store.commit({making(record)}).empty());
  CHECK(store.read(key).record.durable_offset == -1);
  CHECK(store.read(key).messages == 0);
  CHECK_FALSE(store.read(key).last_turn);

  log_maker log(key);
  auto write = log.messages(2);
  auto turn = turn_of(1);
  turn.granted_by = store.process;
  turn.lease_expires_at = turn.started_at + std::chrono::seconds{60};
  turn.first_offset = 1;
  turn.messages = 1;
  turn.trace_id = "trace";
  write->turns = {turn};
  write->turns_counted = 1;
  write->tokens_counted = 42;
  write->participants = {{"bob", participant_role::reader}, {"Zoe", participant_role::writer}};
  store.commit({write, log.status("{}")});

  const auto read = store.read(key);
  CHECK(read.record.log == record.log);
  CHECK(read.record.user_id == "ada");
  CHECK(read.record.agent_id == "helper");
  CHECK(read.record.external_id == "ticket 7");
  CHECK(read.record.title == "A title");
  CHECK(read.record.created_at == record.created_at);
  CHECK(read.record.expires_at == record.expires_at);
  CHECK(read.record.expires_in == record.expires_in);
  CHECK(read.record.metadata == R"({"b":1.0,  "a":2})");
  CHECK(read.record.turn_count == 1);
  CHECK(read.record.total_tokens == 42);
  CHECK(read.record.durable_offset == 2);
  CHECK(read.record.next_offset == 3);
  CHECK_FALSE(read.record.parent);
  CHECK_FALSE(read.record.fork_offset);
  CHECK(read.messages == 2);
  REQUIRE(read.participants.size() == 2);
  CHECK(read.participants[0].user_id == "Zoe");
  CHECK(read.participants[0].role == participant_role::writer);
  CHECK(read.participants[1].user_id == "bob");
  REQUIRE(read.last_turn);
  CHECK(read.last_turn->id == turn.id);
  CHECK(read.last_turn->status == turn_status::running);
  CHECK(read.last_turn->lease_expires_at == turn.lease_expires_at);
  CHECK(read.last_turn->granted_by == store.process);
  CHECK(read.last_turn->first_offset == 1);
  CHECK(read.last_turn->messages == 1);
  CHECK(read.last_turn->trace_id == "trace");
  CHECK_FALSE(read.last_turn->ended_at);
  CHECK_FALSE(read.granter_ended_cleanly);
}

TEST_CASE("a later state of a turn replaces the earlier one, in a batch of its own and within one") {
  session_store store;
  const auto key = new_key();
  auto turn = turn_of(1);
  turn.lease_expires_at = turn.started_at;
  auto start = making(key);
  start->turns = {turn};
  store.commit({start});
  auto renewed = write_to(key), ended = write_to(key);
  turn.lease_expires_at = turn.started_at + std::chrono::hours{1};
  renewed->turns = {turn};
  turn.status = turn_status::completed;
  turn.lease_expires_at.reset();
  turn.ended_at = turn.started_at + std::chrono::seconds{3};
  turn.usage = token_usage{3, 4};
  turn.messages = 5;
  ended->turns = {turn, turn_of(2)};
  store.commit({renewed, ended});
  const auto turns = decode_turns(store.run(read_turns(key, 100, 10)));
  REQUIRE(turns);
  REQUIRE(turns->size() == 2);
  CHECK(turns->at(0).number == 2);
  CHECK(turns->at(1).status == turn_status::completed);
  CHECK(turns->at(1).ended_at == turn.ended_at);
  CHECK_FALSE(turns->at(1).lease_expires_at);
  CHECK(turns->at(1).usage->output_tokens == 4);
  CHECK(decode_turns(store.run(read_turns(key, 2, 10)))->size() == 1);
  CHECK(decode_turns(store.run(read_turns(key, 100, 1)))->at(0).number == 2);
  CHECK(decode_turns(store.run(read_turn(key, turn.id)))->at(0).number == 1);
  CHECK(decode_turns(store.run(read_turn(key, turn_id::make())))->empty());
  CHECK(decode_turns(store.run(read_turn(new_key(), turn.id)))->empty());
}

TEST_CASE("a change of a session's row is the last one asked for, and leaves the counters alone") {
  session_store store;
  const auto key = new_key();
  store.commit({making(key)});
  auto first = write_to(key), second = write_to(key);
  auto changed = record_of(key);
  changed.title = "one";
  first->changed = std::make_shared<const session_record>(changed);
  first->turns_counted = 2;
  changed.title.reset();
  changed.status = session_status::paused;
  changed.metadata = R"({"b": 2})";
  changed.version = 3;
  changed.expires_at = changed.created_at + std::chrono::hours{5};
  changed.expires_in = std::chrono::hours{7};
  changed.user_id = "mallory"; // not what a change may touch
  second->changed = std::make_shared<const session_record>(changed);
  store.commit({first, second});
  const auto read = store.read(key).record;
  CHECK_FALSE(read.title);
  CHECK(read.status == session_status::paused);
  CHECK(read.metadata == R"({"b": 2})");
  CHECK(read.version == 3);
  CHECK(read.expires_at == changed.expires_at);
  CHECK(read.expires_in == changed.expires_in);
  CHECK(read.turn_count == 2);
  CHECK(read.user_id == "ada");
  CHECK(read.updated_at > read.created_at);
}

TEST_CASE("participants come, change and go; within one batch the last word counts") {
  session_store store;
  const auto key = new_key();
  auto write = making(key);
  write->participants = {{"bob", participant_role::reader}, {"eve", participant_role::reader}};
  store.commit({write});
  auto first = write_to(key), second = write_to(key);
  first->participants = {{"bob", participant_role::writer}, {"eve", std::nullopt}, {"joe", participant_role::reader}};
  second->participants = {{"joe", std::nullopt}};
  store.commit({first, second});
  const auto found = store.read(key).participants;
  REQUIRE(found.size() == 1);
  CHECK(found[0].user_id == "bob");
  CHECK(found[0].role == participant_role::writer);
}

TEST_CASE("a request's key is remembered with what its answer was made of") {
  session_store store;
  const auto key = new_key();
  store.commit({making_with_key(key, "k")});
  const auto created = find(store, {}, "create", "k");
  REQUIRE(created);
  CHECK(created->made == key.id);
  CHECK(created->fingerprint == "print of k");
  CHECK(created->made_at == record_of(key).created_at);
  CHECK_FALSE(find(store, key.id, "create", "k"));
  CHECK_FALSE(find(store, {}, "create", "k", "other"));

  log_maker log(key);
  auto append = log.messages(3);
  append->key = remembered("append", "k");
  append->key->first_offset = 0;
  append->key->count = 3;
  auto start = write_to(key);
  start->key = remembered("turn", "k");
  start->key->turn = turn_id::make();
  store.commit({append, start});
  CHECK(find(store, key.id, "append", "k")->count == 3);
  CHECK(find(store, key.id, "append", "k")->first_offset == 0);
  CHECK(find(store, key.id, "turn", "k")->turn == start->key->turn);
  CHECK(find(store, key.id, "turn", "k")->first_offset == -1);
  CHECK_FALSE(find(store, key.id, "fork", "k"));
}

TEST_CASE("the hashes of a session's newest keys are read, not those of before a time, nor of another session") {
  session_store store;
  const auto key = new_key(), other = new_key();
  std::vector<session_write_ptr> writes{making(key), making(other)};
  for (int i = 0; i < 5; ++i) {
    auto write = write_to(key);
    write->key = remembered("append", std::to_string(i));
    write->key->made_at += std::chrono::minutes{i};
    writes.push_back(write);
  }
  auto write = write_to(other);
  write->key = remembered("append", "others");
  writes.push_back(write);
  store.commit(writes);
  const auto start = remembered("", "").made_at;
  const auto hashes = decode_key_hashes(store.run(read_key_hashes(key, start + std::chrono::minutes{1}, 2)));
  REQUIRE(hashes);
  CHECK(*hashes == std::vector{idempotency_hash("append", "4"), idempotency_hash("append", "3")});
  CHECK(decode_key_hashes(store.run(read_key_hashes(key, start + std::chrono::minutes{1}, 10)))->size() == 3);
  CHECK(decode_key_hashes(store.run(read_key_hashes(key, start + std::chrono::hours{1}, 10)))->empty());
}

TEST_CASE("a key that is older than keys are kept gives way to a new one") {
  session_store store;
  const auto key = new_key();
  for (int i = 0; i < 2; ++i) {
    auto write = i == 0 ? making(key) : write_to(key);
    if (i == 0)
      store.commit({write});
    auto again = write_to(key);
    again->key = remembered("append", "k");
    again->key->first_offset = i;
    again->key->made_at += std::chrono::hours{48 * i};
    store.commit({again});
  }
  CHECK(find(store, key.id, "append", "k")->first_offset == 1);
}

TEST_CASE("a session whose external id or key is taken is not made, leaves no key behind, and harms nobody else") {
  session_store store;
  const auto first = new_key(), other_tenant = new_key("other");
  CHECK(store.commit({making_with_key(first, "key", "name")}).empty());
  const auto same_name = new_key(), same_key = new_key(), fresh = new_key(), plain = new_key();
  const auto taken = store.commit({making_with_key(same_name, "key 2", "name"), making_with_key(same_key, "key"),
                                   making_with_key(fresh, "key 3", "name 3"), making(plain),
                                   making_with_key(other_tenant, "key", "name")});
  CHECK(taken.size() == 2);
  CHECK(std::count(taken.begin(), taken.end(), same_name) == 1);
  CHECK(std::count(taken.begin(), taken.end(), same_key) == 1);
  CHECK_FALSE(store.exists(same_name));
  CHECK_FALSE(store.exists(same_key));
  CHECK(store.exists(fresh));
  CHECK(store.exists(plain));
  CHECK(store.exists(other_tenant));
  CHECK_FALSE(find(store, {}, "create", "key 2"));
  CHECK(find(store, {}, "create", "key")->made == first.id);
  CHECK(find(store, {}, "create", "key 3")->made == fresh.id);
  CHECK(find(store, {}, "create", "key", "other")->made == other_tenant.id);
  // The key that was given up is free, and two of one batch share neither key nor name.
  const auto a = new_key(), b = new_key(), c = new_key();
  const auto clash = store.commit(
      {making_with_key(a, "key 2", "x"), making_with_key(b, "key 2", "y"), making_with_key(c, "key 4", "x")});
  CHECK(clash.size() == 2);
  CHECK(store.exists(a));
  CHECK(find(store, {}, "create", "key 2")->made == a.id);
  CHECK_FALSE(find(store, {}, "create", "key 4"));
  CHECK(decode_found(store.run(find_session(a.tenant, "x")))->value() == a.id);
  CHECK_FALSE(decode_found(store.run(find_session(a.tenant, "y")))->has_value());
  CHECK_FALSE(decode_found(store.run(find_session(tenant_id::parse("third").value(), "x")))->has_value());
}

TEST_CASE("of two processes that make a session under one key at once, one does, and the other is told") {
  session_store store;
  session_store* one = &store;
  const auto first = new_key(), second = new_key();
  // The first one's transaction is open when the second one's batch comes.
  test_connection open(store.database.superuser_conninfo());
  open.exec("BEGIN; INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, made_session_id,"
            " created_at) VALUES ('acme', '00000000-0000-0000-0000-000000000000', 'create', 'k', '', '" +
            first.id.to_string() + "', now())");
  for (const std::string end : {"ROLLBACK", "COMMIT"}) {
    auto waits = std::async(std::launch::async, [&] { return one->commit({making_with_key(second, "k")}); });
    const auto blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = " +
                         std::to_string(store.connection.link().backend_pid());
    while (store.database.value(blocked) != "1") {
    }
    open.exec(end);
    const auto taken = waits.get();
    CHECK(taken.size() == (end == "COMMIT" ? 1 : 0));
    CHECK(store.exists(second) == (end == "ROLLBACK"));
    store.database.exec("DELETE FROM idempotency_keys; DELETE FROM sessions");
    if (end == "ROLLBACK")
      open.exec("BEGIN; INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, made_session_id,"
                " created_at) VALUES ('acme', '00000000-0000-0000-0000-000000000000', 'create', 'k', '', '" +
                first.id.to_string() + "', now())");
  }
}

TEST_CASE("an erased session is gone with its last write, its name and place free at once") {
  session_store store;
  const auto key = new_key();
  auto record = record_of(key);
  record.external_id = "name";
  log_maker log(key);
  store.commit({making(record), log.messages(2)});
  auto last = log.status("{}");
  last->erases = true;
  store.commit({last});
  CHECK_FALSE(store.exists(key));
  CHECK(store.count("erasures", "session_id = '" + key.id.to_string() + "' AND user_id = 'ada' AND own_log") == "1");
  CHECK(store.count("logs", "NOT has_session") == "1");
  CHECK(store.count("events") == "3");
  const auto again = new_key();
  record = record_of(again);
  record.external_id = "name";
  CHECK(store.commit({making(record)}).empty());
}

TEST_CASE("a batch keeps to its tenants in everything that it writes") {
  session_store store;
  const auto ours = new_key("a"), theirs = new_key("b");
  store.commit({making(ours), making(theirs)});
  // What says it is of tenant a names a session of tenant b.
  auto change = write_to({ours.tenant, theirs.id}), erase = write_to({ours.tenant, theirs.id});
  auto record = record_of(change->session);
  record.title = "stolen";
  change->changed = std::make_shared<const session_record>(record);
  change->turns_counted = 1;
  erase->erases = true;
  store.commit({change, erase});
  CHECK(store.exists(theirs));
  CHECK_FALSE(store.read(theirs).record.title);
  CHECK(store.read(theirs).record.turn_count == 0);
  CHECK_FALSE(store.exists({ours.tenant, theirs.id}));
  CHECK(store.count("erasures") == "0");
}

TEST_CASE("a batch that is refused leaves nothing of any of its statements") {
  session_store store;
  const auto key = new_key();
  log_maker log(key), twin(key);
  store.commit({making(key), log.messages(1)});
  auto bad = twin.messages(1);
  bad->key = remembered("append", "k");
  bad->participants = {{"bob", participant_role::reader}};
  const auto outcome = store.try_commit({bad});
  REQUIRE(outcome.failure);
  CHECK(outcome.failure->kind == failure_kind::data);
  CHECK(store.count("idempotency_keys") == "0");
  CHECK(store.count("participants") == "0");
  store.commit({log.messages(1)});
}
