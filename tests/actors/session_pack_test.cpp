// What an idle session knows comes back from its folded form as it was.
#include "tests/actors/conversation_fixture.hpp"

#include "actors/session_pack.hpp"

#include <algorithm>
#include <iostream>
#include <limits>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;

namespace {

class maker {
public:
  explicit maker(unsigned seed)
    : random_(seed) {}

  int roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }
  std::int64_t number() {
    const std::int64_t edges[] = {
        0, -1, 63, 64, 127, 128, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()};
    return roll(2) == 0 ? edges[roll(8)] : static_cast<std::int64_t>(random_()) << roll(32);
  }
  std::string text() {
    std::string out;
    for (int left = roll(4) == 0 ? roll(300) : roll(6); left > 0; --left)
      out.push_back(static_cast<char>(roll(256)));
    return out;
  }
  timestamp time() { return timestamp{std::chrono::microseconds{number()}}; }
  template <class Id>
  Id id() {
    Id made{};
    for (auto& byte : made.bytes)
      byte = static_cast<std::uint8_t>(roll(256));
    return made;
  }
  template <class Make>
  auto maybe(Make make) -> std::optional<decltype(make())> {
    return roll(2) == 0 ? std::nullopt : std::optional(make());
  }

  session_knowledge knowledge(const session_key& key) {
    session_knowledge known;
    auto& record = known.record;
    record.key = key;
    record.log = id<log_id>();
    record.user_id = text();
    record.agent_id = maybe([&] { return text(); });
    record.external_id = maybe([&] { return text(); });
    record.title = maybe([&] { return text(); });
    record.status = static_cast<session_status>(roll(4));
    record.created_at = time();
    record.updated_at = time();
    record.expires_at = maybe([&] { return time(); });
    record.expires_in = maybe([&] { return std::chrono::seconds{number()}; });
    for (auto* each :
         {&record.turn_count, &record.total_tokens, &record.next_offset, &record.durable_offset, &record.version})
      *each = number();
    record.parent = maybe([&] { return id<session_id>(); });
    record.fork_offset = maybe([&] { return number(); });
    record.metadata = text();
    if (roll(2) == 0)
      record.mode = session_mode::manual;
    for (int left = roll(3); left > 0; --left)
      record.labels.push_back(text());
    for (int left = roll(3); left > 0; --left)
      record.consumption_offsets[text()] = number();
    known.has_deleted = roll(2) == 0;
    known.messages = number();
    known.last_turn = maybe([&] { return turn(); });
    for (int left = roll(4); left > 0; --left)
      known.participants.push_back({text(), static_cast<participant_role>(roll(2))});
    for (int left = roll(40); left > 0; --left)
      known.key_hashes.insert(number());
    known.knows_all_keys = roll(2) == 0;
    return known;
  }

private:
  db::turn_row turn() {
    db::turn_row turn;
    turn.id = id<turn_id>();
    turn.number = number();
    turn.status = static_cast<turn_status>(roll(8));
    turn.trace_id = text();
    turn.started_at = time();
    turn.ended_at = maybe([&] { return time(); });
    turn.lease_expires_at = maybe([&] { return time(); });
    turn.usage = maybe([&] { return token_usage{number(), number()}; });
    turn.granted_by = id<process_id>();
    turn.first_offset = number();
    turn.messages = number();
    return turn;
  }

  std::mt19937_64 random_;
};

void require_same(const session_record& a, const session_record& b) {
  REQUIRE(a.key == b.key);
  REQUIRE(a.log == b.log);
  REQUIRE(a.user_id == b.user_id);
  REQUIRE(a.agent_id == b.agent_id);
  REQUIRE(a.external_id == b.external_id);
  REQUIRE(a.title == b.title);
  REQUIRE(a.status == b.status);
  REQUIRE(a.created_at == b.created_at);
  REQUIRE(a.updated_at == b.updated_at);
  REQUIRE(a.expires_at == b.expires_at);
  REQUIRE(a.expires_in == b.expires_in);
  REQUIRE(a.turn_count == b.turn_count);
  REQUIRE(a.total_tokens == b.total_tokens);
  REQUIRE(a.next_offset == b.next_offset);
  REQUIRE(a.durable_offset == b.durable_offset);
  REQUIRE(a.version == b.version);
  REQUIRE(a.parent == b.parent);
  REQUIRE(a.fork_offset == b.fork_offset);
  REQUIRE(a.metadata == b.metadata);
  REQUIRE(a.labels == b.labels);
  REQUIRE(a.mode == b.mode);
  REQUIRE(a.consumption_offsets == b.consumption_offsets);
}

void require_same(const db::turn_row& a, const db::turn_row& b) {
  REQUIRE(a.id == b.id);
  REQUIRE(a.number == b.number);
  REQUIRE(a.status == b.status);
  REQUIRE(a.trace_id == b.trace_id);
  REQUIRE(a.started_at == b.started_at);
  REQUIRE(a.ended_at == b.ended_at);
  REQUIRE(a.lease_expires_at == b.lease_expires_at);
  REQUIRE(a.usage.has_value() == b.usage.has_value());
  if (a.usage) {
    REQUIRE(a.usage->input_tokens == b.usage->input_tokens);
    REQUIRE(a.usage->output_tokens == b.usage->output_tokens);
  }
  REQUIRE(a.granted_by == b.granted_by);
  REQUIRE(a.first_offset == b.first_offset);
  REQUIRE(a.messages == b.messages);
}

} // namespace

TEST_CASE("what a session knows is unfolded as it was folded") {
  const random_runs runs(2000);
  for (unsigned run = 0; run < runs.count; ++run) {
    INFO("to repeat: COLLOQUY_TEST_SEED=" << runs.first + run);
    maker make(runs.first + run);
    const session_key key{tenant_id::parse("acme").value(), make.id<session_id>()};
    const auto known = make.knowledge(key);
    const auto packed = pack(known);
    const auto back = unpack(key, packed);
    require_same(known.record, back.record);
    REQUIRE(known.messages == back.messages);
    REQUIRE(known.has_deleted == back.has_deleted);
    REQUIRE(known.last_turn.has_value() == back.last_turn.has_value());
    if (known.last_turn)
      require_same(*known.last_turn, *back.last_turn);
    REQUIRE(known.participants.size() == back.participants.size());
    for (std::size_t i = 0; i < known.participants.size(); ++i) {
      REQUIRE(known.participants[i].user_id == back.participants[i].user_id);
      REQUIRE(known.participants[i].role == back.participants[i].role);
    }
    // Whoever does not know all keys must not believe so; what is left out is read again.
    if (back.knows_all_keys) {
      REQUIRE(known.knows_all_keys);
      REQUIRE(back.key_hashes == known.key_hashes);
    } else {
      REQUIRE(back.key_hashes.empty());
      REQUIRE((!known.knows_all_keys || known.key_hashes.size() > 32));
    }
    REQUIRE(pack(back).size() <= packed.size()); // in memory for as long as it is idle
  }
  std::cout << "folded sessions: " << runs.count << " from seed " << runs.first << "\n";
}

TEST_CASE("an idle session takes little memory, however much it has done") {
  session_knowledge known;
  known.record.user_id = "ada";
  known.record.next_offset = known.record.durable_offset = 1'000'000;
  known.record.version = 3;
  for (int i = 0; i < 10'000; ++i)
    known.key_hashes.insert(i);
  known.knows_all_keys = true;
  CHECK(pack(known).size() < 100);
}

TEST_CASE("a session that was folded goes on as if it had not been") {
  stepped_service service;
  const auto session = service.make_session();
  set_participant share;
  share.session = session;
  share.user_id = "will";
  share.role = participant_role::writer;
  REQUIRE(ask(service, share));
  append_numbered(service, session, 0, 3);
  REQUIRE(ask(service, append_of(session, {message("keyed")}, idempotency{"k", "p"})));
  const auto turn = start(service, session);
  for (int i = 0; i < 3; ++i) {
    auto inside = append_of(session, {message("inside")});
    inside.turn = turn.id;
    inside.as_user = "will";
    REQUIRE(ask(service, inside));
    service.steps.advance(std::chrono::seconds{5}, std::chrono::milliseconds{250}); // idle, and still in memory
  }
  CHECK(ask(service, append_of(session, {message("keyed")}, idempotency{"k", "p"}))->first_offset == 3);
  REQUIRE(ask(service, end_of(session, turn.id)));
  service.steps.advance(std::chrono::seconds{5}, std::chrono::milliseconds{250});
  CHECK(ask(service, history_of(session))->messages.size() == 7);
  CHECK(start(service, session).number == 2);
  CHECK(service.pool.wakes(session.id) == 0);
}

TEST_CASE("what frameworks keep of a session costs an idle one nothing while it is not used") {
  maker make(1);
  const session_key key{tenant_id::parse("acme").value(), make.id<session_id>()};
  session_knowledge known;
  known.record.key = key;
  known.record.user_id = "ada";
  const auto before = pack(known).size();
  known.record.mode = session_mode::manual;
  known.has_deleted = true;
  CHECK(pack(known).size() == before);
  known.record.labels = {"vip"};
  known.record.consumption_offsets = {{"ui", 3}};
  CHECK(pack(known).size() <= before + 10);
}
