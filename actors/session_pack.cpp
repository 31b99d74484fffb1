#include "actors/session_pack.hpp"

#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

namespace colloquy::actors {
namespace {

// More hashes than these cost more memory than reading them again costs time.
constexpr std::size_t hashes_packed_max = 32;

// Beside the status in one byte, since few sessions have any of it.
constexpr std::uint8_t status_bits = 0x07;
constexpr std::uint8_t is_manual_bit = 0x08;
constexpr std::uint8_t has_labels_bit = 0x10;
constexpr std::uint8_t has_consumers_bit = 0x20;

class packer {
public:
  template <class Value>
  requires(std::is_trivially_copyable_v<Value> &&
           !std::is_convertible_v<Value, std::string_view>) void put(const Value& value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  /// Small numbers take one byte.
  void put_number(std::int64_t value) {
    auto rest = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
    for (; rest >= 0x80; rest >>= 7)
      out_.push_back(static_cast<char>(rest | 0x80));
    out_.push_back(static_cast<char>(rest));
  }
  void put_text(std::string_view text) {
    put_number(static_cast<std::int64_t>(text.size()));
    out_.append(text);
  }
  template <class Value, class Put>
  void put_optional(const std::optional<Value>& value, Put put_value) {
    out_.push_back(value ? 1 : 0);
    if (value)
      put_value(*value);
  }
  std::string finish() && { return std::string(out_.data(), out_.size()); } // no larger than it must be

private:
  std::string out_;
};

class unpacker {
public:
  explicit unpacker(std::string_view in)
    : in_(in) {}

  template <class Value>
  Value get() {
    Value value{};
    std::memcpy(&value, in_.data(), sizeof value);
    in_.remove_prefix(sizeof value);
    return value;
  }
  std::int64_t get_number() {
    std::uint64_t rest = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(in_.front());
      in_.remove_prefix(1);
      rest |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0)
        break;
    }
    return static_cast<std::int64_t>(rest >> 1) ^ -static_cast<std::int64_t>(rest & 1);
  }
  std::string get_text() {
    const auto size = static_cast<std::size_t>(get_number());
    std::string text(in_.substr(0, size));
    in_.remove_prefix(size);
    return text;
  }
  template <class Get>
  auto get_optional(Get get_value) -> std::optional<decltype(get_value())> {
    if (get<char>() == 0)
      return std::nullopt;
    return get_value();
  }

private:
  std::string_view in_;
};

void pack_labels(packer& to, const std::vector<std::string>& labels) {
  to.put_number(static_cast<std::int64_t>(labels.size()));
  for (const auto& label : labels)
    to.put_text(label);
}

void pack_consumers(packer& to, const consumption_map& offsets) {
  to.put_number(static_cast<std::int64_t>(offsets.size()));
  for (const auto& [client, offset] : offsets) {
    to.put_text(client);
    to.put_number(offset);
  }
}

void pack_record(packer& to, const session_record& record) {
  const auto text = [&](const std::string& value) { to.put_text(value); };
  const auto plain = [&](const auto& value) { to.put(value); };
  to.put(record.log);
  to.put_text(record.user_id);
  to.put_optional(record.agent_id, text);
  to.put_optional(record.external_id, text);
  to.put_optional(record.title, text);
  auto flags = static_cast<std::uint8_t>(record.status);
  if (record.mode == session_mode::manual)
    flags |= is_manual_bit;
  if (!record.labels.empty())
    flags |= has_labels_bit;
  if (!record.consumption_offsets.empty())
    flags |= has_consumers_bit;
  to.put(flags);
  if (!record.labels.empty())
    pack_labels(to, record.labels);
  if (!record.consumption_offsets.empty())
    pack_consumers(to, record.consumption_offsets);
  to.put(record.created_at);
  to.put(record.updated_at);
  to.put_optional(record.expires_at, plain);
  to.put_optional(record.expires_in, plain);
  for (const auto number :
       {record.turn_count, record.total_tokens, record.next_offset, record.durable_offset, record.version})
    to.put_number(number);
  to.put_optional(record.parent, plain);
  to.put_optional(record.fork_offset, plain);
  to.put_text(record.metadata);
}

session_record unpack_record(unpacker& from, const session_key& key) {
  const auto text = [&] { return from.get_text(); };
  session_record record;
  record.key = key;
  record.log = from.get<log_id>();
  record.user_id = from.get_text();
  record.agent_id = from.get_optional(text);
  record.external_id = from.get_optional(text);
  record.title = from.get_optional(text);
  const auto flags = from.get<std::uint8_t>();
  record.status = static_cast<session_status>(flags & status_bits);
  if ((flags & is_manual_bit) != 0)
    record.mode = session_mode::manual;
  if ((flags & has_labels_bit) != 0)
    for (auto left = from.get_number(); left > 0; --left)
      record.labels.push_back(from.get_text());
  if ((flags & has_consumers_bit) != 0)
    for (auto left = from.get_number(); left > 0; --left) {
      auto client = from.get_text();
      record.consumption_offsets.emplace(std::move(client), from.get_number());
    }
  record.created_at = from.get<timestamp>();
  record.updated_at = from.get<timestamp>();
  record.expires_at = from.get_optional([&] { return from.get<timestamp>(); });
  record.expires_in = from.get_optional([&] { return from.get<std::chrono::seconds>(); });
  for (auto* number :
       {&record.turn_count, &record.total_tokens, &record.next_offset, &record.durable_offset, &record.version})
    *number = from.get_number();
  record.parent = from.get_optional([&] { return from.get<session_id>(); });
  record.fork_offset = from.get_optional([&] { return from.get<event_offset>(); });
  record.metadata = from.get_text();
  return record;
}

void pack_turn(packer& to, const db::turn_row& turn) {
  const auto plain = [&](const auto& value) { to.put(value); };
  to.put(turn.id);
  to.put_number(turn.number);
  to.put(turn.status);
  to.put_text(turn.trace_id);
  to.put(turn.started_at);
  to.put_optional(turn.ended_at, plain);
  to.put_optional(turn.lease_expires_at, plain);
  to.put_optional(turn.usage, plain);
  to.put(turn.granted_by);
  to.put_number(turn.first_offset);
  to.put_number(turn.messages);
}

db::turn_row unpack_turn(unpacker& from) {
  db::turn_row turn;
  turn.id = from.get<turn_id>();
  turn.number = from.get_number();
  turn.status = from.get<turn_status>();
  turn.trace_id = from.get_text();
  turn.started_at = from.get<timestamp>();
  turn.ended_at = from.get_optional([&] { return from.get<timestamp>(); });
  turn.lease_expires_at = from.get_optional([&] { return from.get<timestamp>(); });
  turn.usage = from.get_optional([&] { return from.get<token_usage>(); });
  turn.granted_by = from.get<process_id>();
  turn.first_offset = from.get_number();
  turn.messages = from.get_number();
  return turn;
}

} // namespace

std::string pack(const session_knowledge& known) {
  packer to;
  pack_record(to, known.record);
  to.put_number(known.messages);
  to.put_optional(known.last_turn, [&](const db::turn_row& turn) { pack_turn(to, turn); });
  to.put_number(static_cast<std::int64_t>(known.participants.size()));
  for (const auto& each : known.participants) {
    to.put_text(each.user_id);
    to.put(each.role);
  }
  const bool keeps_hashes = known.knows_all_keys && known.key_hashes.size() <= hashes_packed_max;
  to.put(static_cast<std::uint8_t>((keeps_hashes ? 1 : 0) | (known.has_deleted ? 2 : 0)));
  to.put_number(keeps_hashes ? static_cast<std::int64_t>(known.key_hashes.size()) : 0);
  if (keeps_hashes)
    for (const auto hash : known.key_hashes)
      to.put(hash);
  return std::move(to).finish();
}

session_knowledge unpack(const session_key& key, const std::string& packed) {
  unpacker from(packed);
  session_knowledge known;
  known.record = unpack_record(from, key);
  known.messages = from.get_number();
  known.last_turn = from.get_optional([&] { return unpack_turn(from); });
  for (auto left = from.get_number(); left > 0; --left) {
    auto user = from.get_text();
    known.participants.push_back({std::move(user), from.get<participant_role>()});
  }
  const auto flags = from.get<std::uint8_t>();
  known.knows_all_keys = (flags & 1) != 0;
  known.has_deleted = (flags & 2) != 0;
  for (auto left = from.get_number(); left > 0; --left)
    known.key_hashes.insert(from.get<std::int64_t>());
  return known;
}

} // namespace colloquy::actors
