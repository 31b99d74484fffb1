#include "db/journal_table.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace colloquy::db::journal {
namespace {

constexpr std::int64_t application = 0x436c716a; // "Clqj", by which SQLite's files are told apart

constexpr const char* make_tables = R"(
  CREATE TABLE records (id INTEGER PRIMARY KEY, process BLOB, tenant TEXT, session BLOB, number INTEGER,
                        first_offset INTEGER, epoch INTEGER, written_at INTEGER, payload BLOB, checksum INTEGER);
  CREATE TABLE quarantine (id INTEGER PRIMARY KEY, process BLOB, tenant TEXT, session BLOB, number INTEGER,
                           first_offset INTEGER, epoch INTEGER, written_at INTEGER, payload BLOB, checksum INTEGER,
                           reason TEXT, quarantined_at INTEGER, damaged INTEGER);
  CREATE TABLE users (process BLOB PRIMARY KEY, since INTEGER) WITHOUT ROWID;
  CREATE TABLE due (what TEXT PRIMARY KEY) WITHOUT ROWID;)";

// secure_delete overwrites what is deleted. It does not reach copies that moving a record to another page leaves in the
// gap of the old one: hence erase() writes all anew. Temporary tables in memory, so that no other file holds content.
constexpr const char* set_up = R"(
  PRAGMA synchronous = FULL;
  PRAGMA secure_delete = ON;
  PRAGMA temp_store = MEMORY;
  PRAGMA cell_size_check = ON;
  PRAGMA journal_size_limit = 16777216;)";

/// CRC-64 (ECMA-182, reflected): finds every run of wrong bits up to 64 long, and others but for one in 2^64.
constexpr auto crc_table = [] {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t i = 0; i < table.size(); ++i) {
    auto value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ ((value & 1) != 0 ? 0xc96c5795d7870f42U : 0);
    table[i] = value;
  }
  return table;
}();

class checksum {
public:
  void add(std::string_view bytes) {
    for (const char c : bytes)
      value_ = (value_ >> 8) ^ crc_table[(value_ ^ static_cast<unsigned char>(c)) & 0xff];
  }
  void add(std::int64_t value) {
    std::array<char, 8> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
    add({bytes.data(), bytes.size()});
  }
  std::int64_t value() const { return static_cast<std::int64_t>(~value_); }

private:
  std::uint64_t value_ = ~std::uint64_t{0};
};

std::int64_t checksum_of(const journal_entry& entry, std::int64_t written_at) {
  checksum sum;
  sum.add(view(entry.origin.process.bytes));
  sum.add(entry.origin.epoch);
  sum.add(static_cast<std::int64_t>(entry.session.tenant.text().size()));
  sum.add(entry.session.tenant.text());
  sum.add(view(entry.session.id.bytes));
  sum.add(static_cast<std::int64_t>(entry.number));
  sum.add(std::int64_t{entry.first_offset.has_value()});
  sum.add(entry.first_offset.value_or(0));
  sum.add(written_at);
  sum.add(entry.payload);
  return sum.value();
}

bool read_uuid(std::string_view bytes, uuid_bytes& into) {
  if (bytes.size() != into.size())
    return false;
  std::copy(bytes.begin(), bytes.end(), into.begin());
  return true;
}

/// Whether it is still empty.
result<bool> is_new(database& sqlite, const std::string& name) {
  const auto id = sqlite.ask("PRAGMA application_id");
  const auto version = sqlite.ask("PRAGMA user_version");
  const auto tables = sqlite.ask("SELECT count(*) FROM sqlite_schema");
  for (const auto* each : {&id, &version, &tables})
    if (!*each)
      return each->failure();
  if (*id == 0 && *tables == 0)
    return true;
  if (*id != application)
    return error{error_code::invalid_request, name + " is no journal: it is a database of another program's"};
  if (*version != journal_version)
    return error{error_code::invalid_request, name + " is of format " + std::to_string(*version) +
                                                  "; this version of the program reads format " +
                                                  std::to_string(journal_version)};
  return false;
}

result<void> check_whole(database& sqlite) {
  auto said = sqlite.ask_text("PRAGMA quick_check(1)");
  if (!said)
    return said.failure();
  if (*said != "ok")
    return sqlite.damaged();
  return {};
}

} // namespace

result<void> prepare_tables(database& sqlite, const std::string& name) {
  // Before anything is read: then nobody else can use it, and there is no file of shared memory.
  if (auto done = sqlite.execute("PRAGMA locking_mode = EXCLUSIVE"); !done)
    return done;
  auto fresh = is_new(sqlite, name);
  if (!fresh)
    return fresh.failure();
  if (auto done = *fresh ? result<void>{} : check_whole(sqlite); !done)
    return done;
  auto mode = sqlite.ask_text("PRAGMA journal_mode = WAL");
  if (!mode)
    return mode.failure();
  if (*mode != "wal")
    return error{error_code::internal, name + " cannot have a write-ahead log where it is"};
  if (auto done = sqlite.execute(set_up); !done || !*fresh)
    return done;
  const auto make = std::string(make_tables) + "PRAGMA application_id = " + std::to_string(application) +
                    "; PRAGMA user_version = " + std::to_string(journal_version) + ";";
  return sqlite.in_transaction([&] { return sqlite.execute(make.c_str()); });
}

void bind_row(statement& insert, std::int64_t id, const journal_entry& entry, std::int64_t written_at) {
  insert.bind(1, id);
  insert.bind(2, blob{view(entry.origin.process.bytes)});
  insert.bind(3, std::string_view(entry.session.tenant.text()));
  insert.bind(4, blob{view(entry.session.id.bytes)});
  insert.bind(5, static_cast<std::int64_t>(entry.number));
  if (entry.first_offset)
    insert.bind(6, *entry.first_offset);
  else
    insert.bind_null(6);
  insert.bind(7, entry.origin.epoch);
  insert.bind(8, written_at);
  insert.bind(9, blob{entry.payload});
  insert.bind(10, checksum_of(entry, written_at));
}

std::optional<journal_row> read_row(const statement& from) {
  journal_row row;
  row.place.id = from.integer(0);
  const auto tenant = tenant_id::parse(from.bytes(2));
  if (!read_uuid(from.bytes(1), row.origin.process.bytes) || !tenant || !read_uuid(from.bytes(3), row.session.id.bytes))
    return std::nullopt;
  row.session.tenant = *tenant;
  row.number = static_cast<std::uint64_t>(from.integer(4));
  if (!from.is_null(5))
    row.first_offset = from.integer(5);
  row.origin.epoch = from.integer(6);
  row.written_at = timestamp{std::chrono::microseconds{from.integer(7)}};
  row.payload = from.bytes(8);
  if (!from.is_integer(9) || from.integer(9) != checksum_of(row, from.integer(7)))
    return std::nullopt;
  return row;
}

std::string_view view(const uuid_bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace colloquy::db::journal
