#include "db/journal_codec.hpp"

#include "messages/text_checks.hpp"

#include <algorithm>
#include <chrono>
#include <concepts>
#include <type_traits>
#include <utility>

namespace colloquy::db {
namespace {

using namespace std::chrono_literals;

// Far from the ends of what 64 bits of microseconds hold, so that adding a lifetime to a time cannot overflow.
constexpr timestamp earliest = std::chrono::sys_days{std::chrono::year{1} / 1 / 1};
constexpr timestamp latest = std::chrono::sys_days{std::chrono::year{9999} / 12 / 31};
constexpr std::size_t bytes_max = std::size_t{1} << 40; // of what a write says it costs
constexpr std::chrono::seconds lifetime_max = std::chrono::hours{24 * 366 * 1000};

template <class Enum>
struct enum_range; // the first and the last value there is
template <>
struct enum_range<event_kind> {
  static constexpr auto first = event_kind::message, last = event_kind::custom;
};
template <>
struct enum_range<message_role> {
  static constexpr auto first = message_role::none, last = message_role::tool;
};
template <>
struct enum_range<session_status> {
  static constexpr auto first = session_status::active, last = session_status::expired;
};
template <>
struct enum_range<session_mode> {
  static constexpr auto first = session_mode::automatic, last = session_mode::manual;
};
template <>
struct enum_range<turn_status> {
  static constexpr auto first = turn_status::queued, last = turn_status::lost;
};
template <>
struct enum_range<participant_role> {
  static constexpr auto first = participant_role::reader, last = participant_role::writer;
};

/// Writes what it is shown.
class sink {
public:
  explicit sink(std::size_t bytes_expected) {
    bytes_.reserve(bytes_expected);
    (*this)(journal_codec_version);
  }

  static constexpr std::uint8_t version() noexcept { return journal_codec_version; }

  template <class Integer>
  requires std::is_integral_v<Integer>
  void operator()(const Integer& value) {
    const auto bits = static_cast<std::make_unsigned_t<Integer>>(value);
    for (std::size_t i = 0; i < sizeof bits; ++i)
      bytes_ += static_cast<char>(static_cast<unsigned char>(bits >> (8 * i)));
  }
  void operator()(const bool& value) { bytes_ += value ? '\1' : '\0'; }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void operator()(const Enum& value) { bytes_ += static_cast<char>(value); }
  void operator()(const std::string& text) {
    length(text.size());
    bytes_ += text;
  }
  void operator()(const timestamp& at) { (*this)(std::int64_t{at.time_since_epoch().count()}); }
  void operator()(const std::chrono::seconds& time) { (*this)(std::int64_t{time.count()}); }
  void operator()(const tenant_id& tenant) { (*this)(tenant.text()); }
  template <class Tag>
  void operator()(const uuid_id<Tag>& id) {
    bytes_.append(id.bytes.begin(), id.bytes.end());
  }
  template <class Value>
  void operator()(const std::optional<Value>& value) {
    (*this)(value.has_value());
    if (value)
      show(*this, *value);
  }
  template <class Value>
  void operator()(const std::shared_ptr<const Value>& value) {
    (*this)(value != nullptr);
    if (value)
      show(*this, *value);
  }
  template <class Value>
  void operator()(const std::vector<Value>& values) {
    length(values.size());
    for (const auto& each : values)
      show(*this, each);
  }
  void operator()(const consumption_map& offsets) {
    length(offsets.size());
    for (const auto& [client, offset] : offsets) {
      (*this)(client);
      (*this)(offset);
    }
  }
  void operator()(const event_block& events) { (*this)(events ? *events : std::vector<event>{}); }

  std::string take() { return std::move(bytes_); }

private:
  // Limits on texts, and on all that is undurable at once, keep a length far below 4 GiB.
  void length(std::size_t value) { (*this)(static_cast<std::uint32_t>(value)); }

  std::string bytes_;
};

/// Reads what it is shown; after the first thing wrong it leaves the rest as it is.
class source {
public:
  explicit source(std::string_view bytes)
    : bytes_(bytes) {
    (*this)(version_);
  }

  std::uint8_t version() const noexcept { return version_; }

  template <class Integer>
  requires std::is_integral_v<Integer>
  void operator()(Integer& value) {
    const auto got = take(sizeof value);
    if (!problem_.empty())
      return;
    std::make_unsigned_t<Integer> bits = 0;
    for (std::size_t i = 0; i < sizeof bits; ++i)
      bits = static_cast<decltype(bits)>(bits | static_cast<decltype(bits)>(static_cast<unsigned char>(got[i]))
                                                    << (8 * i));
    value = static_cast<Integer>(bits);
  }
  void operator()(bool& value) {
    std::uint8_t got = 0;
    (*this)(got);
    require(got <= 1, "a flag is neither 0 nor 1");
    value = got == 1;
  }
  template <class Enum>
  requires std::is_enum_v<Enum>
  void operator()(Enum& value) {
    using number = std::underlying_type_t<Enum>;
    number got{};
    (*this)(got);
    require(got >= static_cast<number>(enum_range<Enum>::first) && got <= static_cast<number>(enum_range<Enum>::last),
            "a word that does not exist");
    if (problem_.empty())
      value = static_cast<Enum>(got);
  }
  void operator()(std::string& text) {
    const auto got = take(length());
    require(is_storable_text(got), "a text that is no UTF-8, or has a NUL");
    if (problem_.empty())
      text = got;
  }
  void operator()(timestamp& at) {
    std::int64_t got = 0;
    (*this)(got);
    const timestamp found{std::chrono::microseconds{got}};
    require(found >= earliest && found <= latest, "a time out of range");
    at = found;
  }
  void operator()(std::chrono::seconds& time) {
    std::int64_t got = 0;
    (*this)(got);
    require(got >= 0 && got <= lifetime_max.count(), "a lifetime out of range");
    time = std::chrono::seconds{got};
  }
  void operator()(tenant_id& tenant) {
    std::string text;
    (*this)(text);
    const auto found = tenant_id::parse(text);
    require(found.has_value(), "no tenant's name");
    if (found)
      tenant = *found;
  }
  template <class Tag>
  void operator()(uuid_id<Tag>& id) {
    const auto got = take(id.bytes.size());
    std::copy(got.begin(), got.end(), id.bytes.begin());
  }
  template <class Value>
  void operator()(std::optional<Value>& value) {
    bool is_there = false;
    (*this)(is_there);
    if (is_there && problem_.empty())
      show(*this, value.emplace());
  }
  template <class Value>
  void operator()(std::shared_ptr<const Value>& value) {
    bool is_there = false;
    (*this)(is_there);
    if (!is_there || !problem_.empty())
      return;
    auto made = std::make_shared<Value>();
    show(*this, *made);
    value = std::move(made);
  }
  /// Grows as elements are found, so that a length that lies costs nothing: the text ends before.
  template <class Value>
  void operator()(std::vector<Value>& values) {
    for (auto left = length(); left > 0 && problem_.empty(); --left)
      show(*this, values.emplace_back());
  }
  void operator()(consumption_map& offsets) {
    for (auto left = length(); left > 0 && problem_.empty(); --left) {
      std::string client;
      std::int64_t offset = 0;
      (*this)(client);
      (*this)(offset);
      require(offset >= 0 && offset <= limits::consumption_offset_max, "how far a client has read is out of range");
      require(offsets.empty() || offsets.rbegin()->first < client, "clients that are not in order");
      offsets.emplace_hint(offsets.end(), std::move(client), offset);
    }
  }
  void operator()(event_block& events) {
    std::vector<event> got;
    (*this)(got);
    for (std::size_t i = 1; i < got.size(); ++i)
      require(got[i].offset > got[i - 1].offset && got[i].offset - 1 == got[i - 1].offset,
              "events whose offsets do not rise by one");
    if (!got.empty())
      events = std::make_shared<const std::vector<event>>(std::move(got));
  }

  void require(bool holds, std::string_view otherwise) {
    if (!holds && problem_.empty())
      problem_ = std::string(otherwise) + " before byte " + std::to_string(at_);
  }
  bool is_at_end() const { return at_ == bytes_.size(); }
  const std::string& problem() const { return problem_; }

private:
  std::size_t length() {
    std::uint32_t got = 0;
    (*this)(got);
    return problem_.empty() ? got : 0;
  }
  /// Nothing if there is not that much.
  std::string_view take(std::size_t size) {
    require(size <= bytes_.size() - at_, "a value that goes on after the end");
    if (!problem_.empty())
      return {};
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::string problem_;
  std::uint8_t version_ = 0;
};

// What of a record is written, and in which order: for both ways. Whoever adds a field raises the version.

template <class Way, class Value>
void show(Way& way, Value& value) {
  way(value);
}

template <class Way, class... Values>
void show_all(Way& way, Values&... values) {
  (show(way, values), ...);
}

/// Either of `Value` and `const Value`, but nothing that is made from it.
template <class Shown, class Value>
concept is_a = std::same_as<std::remove_const_t<Shown>, Value>;

template <class Way, is_a<session_key> Key>
void show(Way& way, Key& key) {
  show_all(way, key.tenant, key.id);
}

template <class Way, is_a<event> Event>
void show(Way& way, Event& each) {
  show_all(way, each.kind, each.role, each.data, each.tokens, each.tool_call_id, each.tool_call_ids, each.source,
           each.trace_id, each.author, each.offset, each.created_at, each.turn, each.messages);
}

template <class Way, is_a<session_record> Record>
void show(Way& way, Record& record) {
  show_all(way, record.key, record.log, record.user_id, record.agent_id, record.external_id, record.title,
           record.status, record.created_at, record.updated_at, record.expires_at, record.expires_in, record.turn_count,
           record.total_tokens, record.next_offset, record.durable_offset, record.version, record.parent,
           record.fork_offset, record.metadata);
  if (way.version() >= 2)
    show_all(way, record.labels, record.mode, record.consumption_offsets);
}

template <class Way, is_a<event_range> Range>
void show(Way& way, Range& range) {
  show_all(way, range.first, range.last);
}

template <class Way, is_a<token_usage> Usage>
void show(Way& way, Usage& usage) {
  show_all(way, usage.input_tokens, usage.output_tokens);
}

template <class Way, is_a<turn_row> Turn>
void show(Way& way, Turn& turn) {
  show_all(way, turn.id, turn.number, turn.status, turn.trace_id, turn.started_at, turn.ended_at, turn.lease_expires_at,
           turn.usage, turn.granted_by, turn.first_offset, turn.messages);
}

template <class Way, is_a<remembered_key> Key>
void show(Way& way, Key& key) {
  show_all(way, key.scope, key.key, key.fingerprint, key.first_offset, key.count, key.turn, key.made, key.made_at);
}

template <class Way, is_a<log_parent> Parent>
void show(Way& way, Parent& parent) {
  show_all(way, parent.log, parent.offset, parent.messages);
}

template <class Way, is_a<participant_change> Change>
void show(Way& way, Change& change) {
  show_all(way, change.user_id, change.role);
}

template <class Way, is_a<session_write> Write>
void show(Way& way, Write& write) {
  show_all(way, write.session, write.log, write.number, write.row, write.changed, write.parent, write.key,
           write.participants, write.events, write.turns, write.turns_counted, write.tokens_counted, write.erases);
  if (way.version() >= 2)
    show(way, write.deleted);
  if constexpr (std::is_const_v<Write>) {
    way(std::uint64_t{write.bytes});
  } else {
    std::uint64_t bytes = 0;
    way(bytes);
    write.bytes = static_cast<std::size_t>(bytes);
  }
}

/// What does not fit into the types, but what whoever writes it later relies on.
void check(source& bytes, const session_write& write) {
  const auto is_of_session = [&](const auto& record) { return !record || record->key == write.session; };
  bytes.require(is_of_session(write.row) && is_of_session(write.changed), "the row of another session");
  bytes.require(!write.events || write.events->front().offset >= 0, "an offset below 0");
  bytes.require(std::all_of(write.deleted.begin(), write.deleted.end(),
                            [](const event_range& range) { return range.first >= 0 && range.first <= range.last; }),
                "a range of deleted events that is none");
  bytes.require(write.bytes <= bytes_max, "a size out of range");
  bytes.require(bytes.is_at_end(), "more than a write");
}

/// Reads one value, which is all that there may be behind the version.
template <class Value>
result<Value> decode_all(std::string_view bytes, void (*check_value)(source&, const Value&)) {
  source from(bytes);
  if (from.problem().empty() && (from.version() < 1 || from.version() > journal_codec_version))
    return error{error_code::invalid_request, "a record of format " + std::to_string(from.version()) +
                                                  "; this version of the program reads formats 1 to " +
                                                  std::to_string(journal_codec_version)};
  Value value;
  show(from, value);
  check_value(from, value);
  if (!from.problem().empty())
    return error{error_code::invalid_request, "a record that cannot be read: " + from.problem()};
  return value;
}

} // namespace

std::string encode_write(const session_write& write) {
  std::size_t expected = 512; // what the write says that it costs may have come out of a file
  for (std::size_t i = 0; i < write.event_count(); ++i)
    expected += (*write.events)[i].data.size() + 160;
  sink bytes(expected);
  show(bytes, write);
  return bytes.take();
}

result<session_write> decode_write(std::string_view bytes) {
  return decode_all<session_write>(bytes, check);
}

std::string encode_record(const session_record& record) {
  sink bytes(256 + record.metadata.size());
  show(bytes, record);
  return bytes.take();
}

result<session_record> decode_record(std::string_view bytes) {
  return decode_all<session_record>(bytes, [](source& from, const session_record&) {
    from.require(from.is_at_end(), "more than a session's record");
  });
}

} // namespace colloquy::db
