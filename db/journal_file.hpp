// The local journal's file: what was accepted and is not known to be durable, kept by SQLite so that it survives the
// death of this process, and of the machine. Blocking; one thread at a time. See actors/journal.hpp for who uses it.
//
// Every change is one transaction that is on disk when the call returns (write-ahead log, synchronous FULL), or has not
// happened. The file belongs to one process at a time, by a lock on `<path>.lock` beside it and by SQLite's own. Its
// files are <path>, <path>-wal and <path>.lock, all of mode 0600.
//
// A record that cannot be what was written (its checksum, its columns) is put into the quarantine by open(), with the
// reason; nothing is ever dropped without being asked for.
//
// Errors name the file: conflict (another process has it), invalid_request (no journal, another version's, no
// permission), overloaded (the disk is full), internal (damaged, or the disk fails).
#pragma once

#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/ids.hpp"
#include "messages/session.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// Which process wrote a record, and the epoch of its writer then (0 if it had none).
struct journal_origin {
  process_id process{};
  std::int64_t epoch = 0;
};

/// Names a record for as long as the file is open, and afterwards.
struct journal_place {
  std::int64_t id = 0;
  auto operator<=>(const journal_place&) const = default;
};

/// A record that is to be written.
struct journal_entry {
  journal_origin origin;
  session_key session;
  std::uint64_t number = 0;                   ///< of the session actor's write
  std::optional<event_offset> first_offset{}; ///< of its events, if it has any
  std::string payload{};                      ///< at most journal_payload_max; opaque here
};

/// A record as it was read.
struct journal_row : journal_entry {
  journal_place place;
  timestamp written_at{};
};

struct journal_rows {
  std::vector<journal_row> rows;
  std::optional<journal_place> next{}; ///< none: these were the last
};

/// What there is in the file, the quarantine apart.
struct journal_figures {
  std::size_t records = 0;
  std::size_t bytes = 0; ///< as journal_cost() counts them
  std::optional<timestamp> oldest{};
  std::size_t quarantined = 0;
};

struct journal_erasure {
  std::size_t records = 0;
  std::size_t quarantined = 0;
};

inline constexpr int journal_version = 1;

/// SQLite's own limit for a value is 10^9 bytes.
inline constexpr std::size_t journal_payload_max = std::size_t{512} << 20;

/// What a record takes of the bound: its payload, and its columns and its place in memory.
inline constexpr std::size_t journal_record_overhead = 256;
constexpr std::size_t journal_cost(std::size_t payload_bytes) noexcept {
  return payload_bytes + journal_record_overhead;
}

class journal_file {
public:
  /// Makes the file, and the folders above it (mode 0700), if there is none. Reads all of it once, to check it, and
  /// finishes an erasure that a crash has interrupted.
  static result<journal_file> open(const std::filesystem::path& path, wall_clock now = system_time);

  journal_file(journal_file&&) noexcept;
  journal_file& operator=(journal_file&&) noexcept;
  ~journal_file(); ///< closes it and gives up the lock

  const std::filesystem::path& path() const noexcept;
  journal_figures figures() const;

  /// Adds records and removes others, all in one transaction; a place that is not there is nothing to be removed.
  /// Returns the places of the added ones, in their order; places only ever rise. With nothing to add or to remove it
  /// finds out whether the file can be written. On a full disk, removing a few at a time may succeed, and makes room.
  result<std::vector<journal_place>> commit(std::span<const journal_entry> added,
                                            std::span<const journal_place> removed);

  /// What was in the file when it was opened and has not been removed since: by session, and within one by place.
  /// A page ends before the record that would make it larger than `bytes_max`, but has one if there is one. Start
  /// after none.
  result<journal_rows> read_left(std::optional<journal_place> after, std::size_t bytes_max) const;

  /// Notes that this process writes here from now on; and which ones did, the latest thousand. What a process' records
  /// hold may be written again as long as nobody but these has owned their sessions since.
  result<void> note_user(process_id process);
  result<std::vector<process_id>> users() const;

  /// Whether read_left() may still give it.
  bool is_left(journal_place place) const;

  /// Puts records aside; returns how many of them there were.
  result<std::size_t> quarantine(std::span<const journal_place> records, std::string_view reason);

  /// Removes every record of these sessions, quarantined ones included, and every byte of them from the files: what is
  /// left is written anew, the pages that become free are overwritten, the write-ahead log is emptied. Takes time and
  /// memory by what is left. After an error some may be gone already, and all is to be tried again.
  result<std::vector<journal_erasure>> erase(std::span<const session_key> sessions);

private:
  struct implementation;
  explicit journal_file(std::unique_ptr<implementation> parts);
  std::unique_ptr<implementation> implementation_;
};

} // namespace colloquy::db
