// A write as the journal keeps it: all of it comes back, and whatever the bytes say, reading them is safe.
#include "db/journal_codec.hpp"
#include "tests/db/journal_fixture.hpp"
#include "tests/support/catch.hpp"

#include <tuple>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;

namespace {

// Said here once more, field by field, so that a field that the codec forgets is found.

auto fields(const event& e) {
  return std::tie(e.kind, e.role, e.data, e.tokens, e.tool_call_id, e.tool_call_ids, e.source, e.trace_id, e.author,
                  e.offset, e.created_at, e.turn, e.messages);
}
auto fields(const session_record& r) {
  return std::tie(r.key, r.log, r.user_id, r.agent_id, r.external_id, r.title, r.status, r.created_at, r.updated_at,
                  r.expires_at, r.expires_in, r.turn_count, r.total_tokens, r.next_offset, r.durable_offset, r.version,
                  r.parent, r.fork_offset, r.metadata, r.labels, r.mode, r.consumption_offsets);
}
auto usage_of(const turn_row& t) {
  return t.usage ? std::optional(std::pair(t.usage->input_tokens, t.usage->output_tokens)) : std::nullopt;
}
auto fields(const turn_row& t) {
  return std::tuple_cat(std::tie(t.id, t.number, t.status, t.trace_id, t.started_at, t.ended_at, t.lease_expires_at,
                                 t.granted_by, t.first_offset, t.messages),
                        std::make_tuple(usage_of(t)));
}
auto fields(const remembered_key& k) {
  return std::tie(k.scope, k.key, k.fingerprint, k.first_offset, k.count, k.turn, k.made, k.made_at);
}
auto fields(const log_parent& p) {
  return std::tie(p.log, p.offset, p.messages);
}
auto fields(const participant_change& c) {
  return std::tie(c.user_id, c.role);
}

template <class Pointer>
bool same_if_there(const Pointer& a, const Pointer& b) {
  return static_cast<bool>(a) == static_cast<bool>(b) && (!a || fields(*a) == fields(*b));
}
template <class Value>
bool all_same(const std::vector<Value>& a, const std::vector<Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Value& x, const Value& y) { return fields(x) == fields(y); });
}

void check_same(const session_write& a, const session_write& b) {
  CHECK(a.session == b.session);
  CHECK(a.log == b.log);
  CHECK(a.number == b.number);
  CHECK(same_if_there(a.row, b.row));
  CHECK(same_if_there(a.changed, b.changed));
  CHECK(same_if_there(a.parent, b.parent));
  CHECK(same_if_there(a.key, b.key));
  CHECK(all_same(a.participants, b.participants));
  CHECK(static_cast<bool>(a.events) == static_cast<bool>(b.events));
  if (a.events && b.events)
    CHECK(all_same(*a.events, *b.events));
  CHECK(all_same(a.turns, b.turns));
  CHECK(a.turns_counted == b.turns_counted);
  CHECK(a.tokens_counted == b.tokens_counted);
  CHECK(a.erases == b.erases);
  CHECK(a.deleted == b.deleted);
  CHECK(a.bytes == b.bytes);
  CHECK_FALSE(b.keeps);
}

session_write small_write() {
  return *message_write(key_of("acme"), 1, "{\"role\":\"user\",\"content\":\"hi\"}");
}

std::string refusal(const std::string& bytes) {
  const auto read = decode_write(bytes);
  REQUIRE_FALSE(read);
  CHECK(read.failure().code == error_code::invalid_request);
  return read.failure().message;
}

} // namespace

TEST_CASE("whatever a session writes comes back from the journal as it was", "[journal_codec]") {
  const auto seed = seed_of("journal codec round trip");
  CAPTURE(seed);
  random_writes random(seed);
  for (unsigned i = 0; i < histories(2000); ++i) {
    const auto write = random.write();
    write->keeps = std::make_shared<int>(1);
    const auto bytes = encode_write(*write);
    const auto back = decode_write(bytes);
    INFO("write " << i << ": " << (back ? "" : back.failure().message));
    REQUIRE(back);
    check_same(*write, *back);
    CHECK(encode_write(*back) == bytes);
  }
}

TEST_CASE("a session's record is read as it was written, and nothing else is taken for one", "[journal_codec]") {
  const auto seed = seed_of("journal codec of records");
  CAPTURE(seed);
  random_writes random(seed);
  int records = 0;
  for (int i = 0; i < 5000 && records < 200; ++i) {
    const auto write = random.write();
    if (!write->row)
      continue;
    ++records;
    const auto bytes = encode_record(*write->row);
    const auto back = decode_record(bytes);
    REQUIRE(back);
    CHECK(fields(*back) == fields(*write->row));
    CHECK_FALSE(decode_record(bytes + 'x'));
    CHECK_FALSE(decode_record(bytes.substr(0, bytes.size() - 1)));
    CHECK_FALSE(decode_record(static_cast<char>(journal_codec_version + 1) + bytes.substr(1)));
  }
  CHECK(records > 0);
}

TEST_CASE("what the version before has written is read, without what it did not know", "[journal_codec]") {
  auto record = session_record{};
  record.key = key_of("acme");
  record.user_id = "ada";
  record.title = "t";
  const auto now = encode_record(record);
  const std::size_t new_bytes = 4 + 1 + 4; // no labels, a mode, no consumption offsets
  const auto before = '\1' + now.substr(1, now.size() - 1 - new_bytes);
  const auto back = decode_record(before);
  REQUIRE(back);
  CHECK(fields(*back) == fields(record));
  CHECK_FALSE(decode_record('\1' + now.substr(1)));
  CHECK_FALSE(decode_record('\0' + now.substr(1)));

  auto write = small_write();
  write.keeps.reset();
  const auto bytes = encode_write(write);
  // Before the last field, its 8 bytes of size, there is now a list of deletions.
  const auto old = '\1' + bytes.substr(1, bytes.size() - 1 - 8 - 4) + bytes.substr(bytes.size() - 8);
  const auto read = decode_write(old);
  INFO((read ? "" : read.failure().message));
  REQUIRE(read);
  check_same(write, *read);
}

TEST_CASE("bytes that are no write are refused and never harm", "[journal_codec]") {
  const auto seed = seed_of("journal codec fuzz");
  CAPTURE(seed);
  random_writes random(seed);
  unsigned accepted = 0;
  for (unsigned i = 0; i < histories(300); ++i) {
    const auto bytes = encode_write(*random.write());
    for (int tries = 0; tries < 40; ++tries) {
      auto harmed = bytes;
      for (int changes = 1 + random.roll(3); changes > 0 && !harmed.empty(); --changes) {
        const auto at = static_cast<std::size_t>(random.roll(static_cast<int>(harmed.size())));
        switch (random.roll(5)) {
        case 0:
          harmed[at] = static_cast<char>(random.roll(256));
          break;
        case 1:
          harmed[at] = static_cast<char>(harmed[at] ^ (1 << random.roll(8)));
          break;
        case 2:
          harmed.resize(at);
          break;
        case 3:
          harmed.insert(at, static_cast<std::size_t>(1 + random.roll(9)), static_cast<char>(random.roll(2) * 255));
          break;
        default:
          harmed.erase(at, static_cast<std::size_t>(1 + random.roll(9)));
        }
      }
      // One encoding for each write: what is accepted is what somebody could have written.
      if (const auto read = decode_write(harmed)) {
        ++accepted;
        CHECK(encode_write(*read) == harmed);
      }
    }
  }
  CHECK(accepted > 0); // a changed number is still a number; the file's checksum is what finds that
}

TEST_CASE("every shortened write is refused", "[journal_codec]") {
  const auto bytes = encode_write(small_write());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(decode_write(std::string_view(bytes).substr(0, length)));
  }
  CHECK_THAT(refusal(bytes + '\0'), ContainsSubstring("more than a write"));
}

TEST_CASE("a write of a later format is refused by its number", "[journal_codec]") {
  auto bytes = encode_write(small_write());
  bytes[0] = 9;
  CHECK_THAT(refusal(bytes), ContainsSubstring("format 9") && ContainsSubstring("formats 1 to 2"));
}

TEST_CASE("a length that lies costs no memory", "[journal_codec]") {
  session_write write;
  write.session = key_of("acme");
  const auto bytes = encode_write(write);
  // From the end: bytes, the number of deleted ranges, erases, two counters, then the number of turns and that of
  // events.
  const auto deleted = bytes.size() - 8 - 4;
  for (const auto number : {deleted, deleted - 1 - 16 - 4}) {
    auto lying = bytes;
    lying.replace(number, 4, "\xff\xff\xff\xff");
    CHECK_THAT(refusal(lying), ContainsSubstring("after the end"));
  }
}

TEST_CASE("no journal brings a write that the session could not have made", "[journal_codec]") {
  SECTION("the row of another session") {
    auto write = small_write();
    auto row = std::make_shared<session_record>();
    row->key = key_of("other");
    write.row = row;
    CHECK_THAT(refusal(encode_write(write)), ContainsSubstring("another session"));
  }
  SECTION("offsets with a gap") {
    auto write = small_write();
    auto events = *write.events;
    events.push_back(events.front());
    events.back().offset += 2;
    write.events = std::make_shared<const std::vector<event>>(events);
    CHECK_THAT(refusal(encode_write(write)), ContainsSubstring("rise by one"));
  }
  SECTION("an offset below 0") {
    auto write = small_write();
    auto events = *write.events;
    events.front().offset = -1;
    write.events = std::make_shared<const std::vector<event>>(events);
    CHECK_THAT(refusal(encode_write(write)), ContainsSubstring("below 0"));
  }
  SECTION("text that PostgreSQL cannot hold") {
    auto write = small_write();
    auto events = *write.events;
    events.front().data = std::string("a\0b", 3);
    write.events = std::make_shared<const std::vector<event>>(events);
    CHECK_THAT(refusal(encode_write(write)), ContainsSubstring("UTF-8"));
  }
  SECTION("a time that cannot be calculated with") {
    auto write = small_write();
    auto events = *write.events;
    events.front().created_at = timestamp::max();
    write.events = std::make_shared<const std::vector<event>>(events);
    CHECK_THAT(refusal(encode_write(write)), ContainsSubstring("a time out of range"));
  }
}

TEST_CASE("an empty list of events is none", "[journal_codec]") {
  auto write = small_write();
  write.events = std::make_shared<const std::vector<event>>();
  const auto back = decode_write(encode_write(write));
  REQUIRE(back);
  CHECK_FALSE(back->events);
}
