// What the tests of the journal share: writes of every shape, made at random; files to look into.
#pragma once

#include "db/batch.hpp"
#include "tests/support/catch.hpp"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::test {

/// COLLOQUY_TEST_SEED, or a new one; printed.
inline unsigned seed_of(std::string_view what) {
  const auto* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::cout << what << ": seed " << seed << '\n';
  return seed;
}

inline unsigned histories(unsigned normally) {
  const auto* given = std::getenv("COLLOQUY_TEST_HISTORIES");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : normally;
}

inline session_key key_of(const std::string& tenant) {
  return {tenant_id::parse(tenant).value(), session_id::make()};
}

/// A write with one message.
inline std::shared_ptr<db::session_write> message_write(const session_key& session, std::uint64_t number,
                                                        std::string data) {
  auto write = std::make_shared<db::session_write>();
  write->session = session;
  write->log = log_id{session.id.bytes};
  write->number = number;
  event entry;
  entry.role = message_role::user;
  entry.data = std::move(data);
  entry.offset = static_cast<event_offset>(number) - 1;
  entry.created_at = system_time();
  entry.messages = static_cast<std::int64_t>(number);
  write->bytes = entry.cost_bytes();
  write->events = std::make_shared<const std::vector<event>>(std::vector<event>{std::move(entry)});
  return write;
}

/// Writes with everything that may be in one, or not.
class random_writes {
public:
  explicit random_writes(unsigned seed)
    : random_(seed) {}

  int roll(int sides) { return std::uniform_int_distribution<int>{0, sides - 1}(random_); }
  std::int64_t number() { return static_cast<std::int64_t>(random_()); }
  std::mt19937_64& engine() { return random_; }

  std::string text() {
    static const std::vector<std::string> pieces{
        "a", "{\"x\":[1,2]}", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\n", " ", "\\u0000"};
    std::string made;
    for (int left = roll(5) == 0 ? roll(400) : roll(6); left > 0; --left)
      made += pieces[static_cast<std::size_t>(roll(static_cast<int>(pieces.size())))];
    return made;
  }

  std::shared_ptr<db::session_write> write() {
    auto made = std::make_shared<db::session_write>();
    made->session = {tenant_id::parse(roll(2) == 0 ? "acme" : "z" + std::string(62, '9')).value(), id<session_id>()};
    made->log = id<log_id>();
    made->number = random_();
    made->row = maybe([&] { return std::make_shared<const session_record>(record(made->session)); }).value_or(nullptr);
    made->changed =
        maybe([&] { return std::make_shared<const session_record>(record(made->session)); }).value_or(nullptr);
    made->parent = maybe([&] { return db::log_parent{id<log_id>(), number(), number()}; });
    made->key = maybe([&] { return key(); });
    for (int left = roll(3) == 0 ? roll(5) : 0; left > 0; --left)
      made->participants.push_back({text(), maybe([&] {
                                      return one_of({participant_role::reader, participant_role::writer});
                                    })});
    if (roll(4) != 0)
      made->events = events();
    for (int left = roll(3) == 0 ? roll(4) : 0; left > 0; --left)
      made->turns.push_back(turn());
    made->turns_counted = number();
    made->tokens_counted = number();
    for (int left = roll(3) == 0 ? roll(4) : 0; left > 0; --left) {
      const auto first = static_cast<event_offset>(random_() >> 2);
      made->deleted.push_back({first, first + roll(100)});
    }
    made->erases = roll(8) == 0;
    made->bytes = static_cast<std::size_t>(roll(1'000'000));
    return made;
  }

private:
  template <class Make>
  auto maybe(Make make) -> std::optional<decltype(make())> {
    if (roll(2) == 0)
      return std::nullopt;
    return make();
  }
  template <class Value>
  Value one_of(std::initializer_list<Value> all) {
    return *(all.begin() + roll(static_cast<int>(all.size())));
  }
  template <class Id>
  Id id() {
    Id made;
    if (roll(6) != 0)
      for (auto& byte : made.bytes)
        byte = static_cast<std::uint8_t>(roll(256));
    return made;
  }
  timestamp time() { return timestamp{std::chrono::microseconds{number() % 60'000'000'000'000'000}}; }

  session_record record(const session_key& session) {
    session_record made;
    made.key = session;
    made.log = id<log_id>();
    made.user_id = text();
    made.agent_id = maybe([&] { return text(); });
    made.external_id = maybe([&] { return text(); });
    made.title = maybe([&] { return text(); });
    made.status =
        one_of({session_status::active, session_status::paused, session_status::completed, session_status::expired});
    made.created_at = time();
    made.updated_at = time();
    made.expires_at = maybe([&] { return time(); });
    made.expires_in = maybe([&] { return std::chrono::seconds{roll(2'000'000'000)}; });
    made.turn_count = number();
    made.total_tokens = number();
    made.next_offset = number();
    made.durable_offset = number();
    made.version = number();
    made.parent = maybe([&] { return id<session_id>(); });
    made.fork_offset = maybe([&] { return number(); });
    made.metadata = text();
    for (int left = roll(3); left > 0; --left)
      made.labels.push_back(text());
    made.mode = one_of({session_mode::automatic, session_mode::manual});
    for (int left = roll(3); left > 0; --left)
      made.consumption_offsets[text()] = roll(1'000'000);
    return made;
  }

  db::remembered_key key() {
    return {text(), text(), text(), number(), number(), id<turn_id>(), id<session_id>(), time()};
  }

  db::event_block events() {
    auto made = std::make_shared<std::vector<event>>();
    const auto first = static_cast<event_offset>(random_() >> 2);
    for (int i = 0, count = 1 + roll(4); i < count; ++i) {
      event each;
      each.kind = one_of({event_kind::message, event_kind::tool, event_kind::status, event_kind::custom});
      each.role = one_of(
          {message_role::none, message_role::system, message_role::user, message_role::assistant, message_role::tool});
      each.data = text();
      each.tokens = maybe([&] { return static_cast<std::int32_t>(random_()); });
      each.tool_call_id = text();
      for (int left = roll(3); left > 0; --left)
        each.tool_call_ids.push_back(text());
      each.source = text();
      each.trace_id = text();
      each.author = text();
      each.offset = first + i;
      each.created_at = time();
      each.turn = id<turn_id>();
      each.messages = number();
      made->push_back(std::move(each));
    }
    return made;
  }

  db::turn_row turn() {
    db::turn_row made;
    made.id = id<turn_id>();
    made.number = number();
    made.status =
        one_of({turn_status::queued, turn_status::running, turn_status::completed, turn_status::failed,
                turn_status::cancelled, turn_status::interrupted, turn_status::rolled_back, turn_status::lost});
    made.trace_id = text();
    made.started_at = time();
    made.ended_at = maybe([&] { return time(); });
    made.lease_expires_at = maybe([&] { return time(); });
    made.usage = maybe([&] { return token_usage{number(), number()}; });
    made.granted_by = id<process_id>();
    made.first_offset = number();
    made.messages = number();
    return made;
  }

  std::mt19937_64 random_;
};

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// The names of the files below a folder that have these bytes in them.
inline std::vector<std::string> files_with(const std::filesystem::path& folder, const std::string& word) {
  std::vector<std::string> found;
  for (const auto& each : std::filesystem::recursive_directory_iterator(folder))
    if (each.is_regular_file() && bytes_of(each.path()).find(word) != std::string::npos)
      found.push_back(each.path().filename().string());
  return found;
}

} // namespace colloquy::test
