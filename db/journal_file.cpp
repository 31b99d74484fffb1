#include "db/journal_file.hpp"

#include "db/journal_disk.hpp"
#include "db/journal_sqlite.hpp"
#include "db/journal_table.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace colloquy::db {
namespace {

namespace fs = std::filesystem;
using journal::blob;
using journal::database;
using journal::statement;

} // namespace

// --- what is open ----------------------------------------------------------------------------------------------------

struct journal_file::implementation {
  struct known {
    std::size_t cost = 0;
    timestamp written_at{};
  };

  fs::path path;
  wall_clock now;
  embedded::unique_fd lock;
  std::unique_ptr<database> sqlite;
  statement insert, remove, read, set_aside;

  std::map<std::int64_t, known> records{};               // by place
  std::vector<std::int64_t> left{};                      // by session, then by place; some may be gone
  std::unordered_map<std::int64_t, std::size_t> where{}; // in `left`
  std::int64_t next_id = 1;
  std::size_t bytes = 0;
  std::size_t quarantined = 0;

  std::int64_t time() const { return now().time_since_epoch().count(); }

  void add(std::int64_t id, known what) {
    bytes += what.cost;
    records.emplace_hint(records.end(), id, what);
  }
  void drop(std::int64_t id) {
    if (const auto found = records.find(id); found != records.end()) {
      bytes -= found->second.cost;
      records.erase(found);
    }
  }

  result<void> prepare();
  result<void> scan();
  result<void> quarantine_damaged(const std::vector<std::int64_t>& damaged);
  result<void> write_anew();
  void make_room_in_log();
  result<void> remove_records(std::span<const journal_place> places);
  result<std::size_t> move_aside(std::int64_t id, std::string_view reason, bool is_damaged);
  result<std::vector<std::int64_t>> delete_session(const char* sql, const session_key& session);
};

result<void> journal_file::implementation::prepare() {
  if (auto done = journal::prepare_tables(*sqlite, "the journal " + path.string()); !done)
    return done;
  const std::array<std::pair<statement*, const char*>, 4> wanted{{{&insert, journal::insert_sql},
                                                                  {&remove, journal::remove_sql},
                                                                  {&read, journal::read_sql},
                                                                  {&set_aside, journal::set_aside_sql}}};
  for (const auto& [into, sql] : wanted) {
    auto made = sqlite->prepare(sql);
    if (!made)
      return made.failure();
    *into = std::move(*made);
  }
  return {};
}

/// Reads every record once.
result<void> journal_file::implementation::scan() {
  auto all = sqlite->prepare(journal::read_all_sql);
  if (!all)
    return all.failure();
  std::vector<std::int64_t> damaged;
  std::vector<std::pair<session_key, std::int64_t>> found;
  auto row = all->next();
  for (; row && *row; row = all->next()) {
    const auto id = all->integer(0);
    if (auto read_back = journal::read_row(*all)) {
      add(id, {journal_cost(read_back->payload.size()), read_back->written_at});
      found.emplace_back(std::move(read_back->session), id);
    } else {
      damaged.push_back(id);
    }
  }
  if (!row)
    return row.failure();
  const auto order = [](const auto& each) { return std::tie(each.first.tenant, each.first.id, each.second); };
  std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return order(a) < order(b); });
  for (const auto& [session, id] : found) {
    where.emplace(id, left.size());
    left.push_back(id);
  }
  if (auto moved = quarantine_damaged(damaged); !moved)
    return moved;
  auto last = sqlite->ask("SELECT max(coalesce((SELECT max(id) FROM records), 0), "
                          "coalesce((SELECT max(id) FROM quarantine), 0))");
  auto aside = sqlite->ask("SELECT count(*) FROM quarantine");
  if (!last || !aside)
    return (last ? aside : last).failure();
  next_id = *last + 1;
  quarantined = static_cast<std::size_t>(*aside);
  return {};
}

result<void> journal_file::implementation::quarantine_damaged(const std::vector<std::int64_t>& damaged) {
  if (damaged.empty())
    return {};
  return sqlite->in_transaction([&]() -> result<void> {
    for (const auto id : damaged)
      if (auto moved = move_aside(id, "damaged: it is not what its checksum says was written", true); !moved)
        return moved.failure();
    return {};
  });
}

/// Makes the file from what is in it, and empties the log.
result<void> journal_file::implementation::write_anew() {
  for (const char* each : {"VACUUM", journal::forget_traces_sql})
    if (auto done = sqlite->execute(each); !done)
      return done;
  auto busy = sqlite->ask("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!busy)
    return busy.failure();
  if (*busy != 0)
    return error{error_code::internal, "the journal " + path.string() + " did not empty its log"};
  return {};
}

// --- opening ---------------------------------------------------------------------------------------------------------

journal_file::journal_file(std::unique_ptr<implementation> parts)
  : implementation_(std::move(parts)) {}
journal_file::journal_file(journal_file&&) noexcept = default;
journal_file& journal_file::operator=(journal_file&&) noexcept = default;
journal_file::~journal_file() = default;

const fs::path& journal_file::path() const noexcept {
  return implementation_->path;
}

result<journal_file> journal_file::open(const fs::path& path, wall_clock now) {
  std::error_code fault;
  const auto whole = fs::absolute(path, fault).lexically_normal();
  if (path.empty() || fault || !whole.has_filename())
    return error{error_code::invalid_request, "\"" + path.string() + "\" names no file for the journal"};
  if (auto made = journal::make_folders(whole.parent_path()); !made)
    return made.failure();
  auto locked = journal::lock(whole);
  if (!locked)
    return locked.failure();
  if (auto made = journal::make_file(whole); !made)
    return made.failure();
  auto opened = database::open(whole);
  if (!opened)
    return opened.failure();
  auto parts = std::unique_ptr<implementation>(
      new implementation{whole, std::move(now), std::move(*locked), std::move(*opened), {}, {}, {}, {}});
  if (auto done = parts->prepare(); !done)
    return done.failure();
  auto due = parts->sqlite->ask(journal::has_traces_sql);
  if (!due)
    return due.failure();
  if (auto done = *due == 0 ? result<void>{} : parts->write_anew(); !done)
    return done.failure();
  if (auto done = parts->scan(); !done)
    return done.failure();
  return journal_file(std::move(parts));
}

result<void> journal_file::note_user(process_id process) {
  auto& file = *implementation_;
  return file.sqlite->in_transaction([&]() -> result<void> {
    auto note = file.sqlite->prepare(journal::note_user_sql);
    if (!note)
      return note.failure();
    note->bind(1, journal::blob{journal::view(process.bytes)});
    note->bind(2, file.time());
    if (auto done = note->run(); !done)
      return done;
    return file.sqlite->execute(journal::forget_users_sql);
  });
}

result<std::vector<process_id>> journal_file::users() const {
  auto read = implementation_->sqlite->prepare(journal::read_users_sql);
  if (!read)
    return read.failure();
  std::vector<process_id> found;
  for (;;) {
    auto more = read->next();
    if (!more)
      return more.failure();
    if (!*more)
      return found;
    process_id user;
    if (const auto bytes = read->bytes(0); bytes.size() == user.bytes.size())
      std::copy(bytes.begin(), bytes.end(), user.bytes.begin());
    found.push_back(user);
  }
}

// --- writing ---------------------------------------------------------------------------------------------------------

journal_figures journal_file::figures() const {
  const auto& file = *implementation_;
  journal_figures out{file.records.size(), file.bytes, {}, file.quarantined};
  if (!file.records.empty())
    out.oldest = file.records.begin()->second.written_at;
  return out;
}

/// On a full disk there is only the room that the files have: the log can be used from its beginning again once all of
/// it is in the file. If that fails, too, it is tried again with the next failure.
void journal_file::implementation::make_room_in_log() {
  static_cast<void>(sqlite->ask("PRAGMA wal_checkpoint(RESTART)"));
}

/// Places that follow each other go together: what is written together becomes durable together.
result<void> journal_file::implementation::remove_records(std::span<const journal_place> places) {
  std::vector<journal_place> sorted(places.begin(), places.end());
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t first = 0; first < sorted.size();) {
    auto last = first;
    while (last + 1 < sorted.size() && sorted[last + 1].id - sorted[last].id <= 1)
      ++last;
    remove.bind(1, sorted[first].id);
    remove.bind(2, sorted[last].id);
    if (auto done = remove.run(); !done)
      return done;
    first = last + 1;
  }
  return {};
}

result<std::vector<journal_place>> journal_file::commit(std::span<const journal_entry> added,
                                                        std::span<const journal_place> removed) {
  auto& file = *implementation_;
  if (std::any_of(added.begin(), added.end(),
                  [](const auto& each) { return each.payload.size() > journal_payload_max; }))
    return error{error_code::payload_too_large, "a record of more than " + std::to_string(journal_payload_max) +
                                                    " bytes, which is the most that a journal takes"};
  const auto written_at = file.time();
  const auto done = file.sqlite->in_transaction([&]() -> result<void> {
    auto id = file.next_id;
    for (const auto& each : added) {
      journal::bind_row(file.insert, id++, each, written_at);
      if (auto inserted = file.insert.run(); !inserted)
        return inserted;
    }
    if (added.empty() && removed.empty())
      return file.sqlite->execute(journal::write_nothing_sql);
    return file.remove_records(removed);
  });
  if (!done) {
    file.make_room_in_log();
    return done.failure();
  }
  std::vector<journal_place> places;
  places.reserve(added.size());
  for (const auto& each : added) {
    file.add(file.next_id, {journal_cost(each.payload.size()), timestamp{std::chrono::microseconds{written_at}}});
    places.push_back({file.next_id++});
  }
  for (const auto& each : removed)
    file.drop(each.id);
  return places;
}

// --- what was left ---------------------------------------------------------------------------------------------------

bool journal_file::is_left(journal_place place) const {
  return implementation_->where.contains(place.id) && implementation_->records.contains(place.id);
}

result<journal_rows> journal_file::read_left(std::optional<journal_place> after, std::size_t bytes_max) const {
  auto& file = *implementation_;
  std::size_t at = 0;
  if (after) {
    const auto found = file.where.find(after->id);
    if (found == file.where.end())
      return error{error_code::invalid_request, "no place that the journal has given"};
    at = found->second + 1;
  }
  journal_rows page;
  std::size_t bytes = 0;
  for (; at < file.left.size(); ++at) {
    const auto known = file.records.find(file.left[at]);
    if (known == file.records.end())
      continue;
    bytes += known->second.cost;
    if (bytes > bytes_max && !page.rows.empty()) {
      page.next = page.rows.back().place;
      return page;
    }
    file.read.bind(1, known->first);
    auto found = file.read.next();
    if (!found)
      return found.failure();
    auto row = *found ? journal::read_row(file.read) : std::nullopt;
    file.read.reset();
    if (!row)
      return error{error_code::internal, "the journal " + file.path.string() + " has changed a record by itself"};
    page.rows.push_back(std::move(*row));
  }
  return page;
}

result<std::size_t> journal_file::implementation::move_aside(std::int64_t id, std::string_view reason,
                                                             bool is_damaged) {
  set_aside.bind(1, id);
  set_aside.bind(2, reason);
  set_aside.bind(3, time());
  set_aside.bind(4, std::int64_t{is_damaged});
  if (auto done = set_aside.run(); !done)
    return done.failure();
  const auto moved = static_cast<std::size_t>(sqlite->changes());
  const std::array<journal_place, 1> place{{{id}}};
  if (auto done = remove_records(place); !done)
    return done.failure();
  return moved;
}

result<std::size_t> journal_file::quarantine(std::span<const journal_place> records, std::string_view reason) {
  auto& file = *implementation_;
  auto moved = file.sqlite->in_transaction([&]() -> result<std::size_t> {
    std::size_t count = 0;
    for (const auto& each : records) {
      auto one = file.move_aside(each.id, reason, false);
      if (!one)
        return one;
      count += *one;
    }
    return count;
  });
  if (!moved)
    return moved;
  file.quarantined += *moved;
  for (const auto& each : records)
    file.drop(each.id);
  return moved;
}

// --- erasing ---------------------------------------------------------------------------------------------------------

result<std::vector<std::int64_t>> journal_file::implementation::delete_session(const char* sql,
                                                                               const session_key& session) {
  auto removal = sqlite->prepare(sql);
  if (!removal)
    return removal.failure();
  removal->bind(1, std::string_view(session.tenant.text()));
  removal->bind(2, blob{journal::view(session.id.bytes)});
  std::vector<std::int64_t> gone;
  auto row = removal->next();
  for (; row && *row; row = removal->next())
    gone.push_back(removal->integer(0));
  if (!row)
    return row.failure();
  return gone;
}

/// By reading everything: there is no index on sessions, which every write would pay for, and all is read anyway.
result<std::vector<journal_erasure>> journal_file::erase(std::span<const session_key> sessions) {
  auto& file = *implementation_;
  std::vector<std::int64_t> gone;
  auto counted = file.sqlite->in_transaction([&]() -> result<std::vector<journal_erasure>> {
    std::vector<journal_erasure> counts;
    for (const auto& each : sessions) {
      auto records = file.delete_session(journal::erase_sql, each);
      if (!records)
        return records.failure();
      auto aside = file.delete_session(journal::erase_quarantined_sql, each);
      if (!aside)
        return aside.failure();
      gone.insert(gone.end(), records->begin(), records->end());
      counts.push_back({records->size(), aside->size()});
    }
    if (auto noted = file.sqlite->execute(journal::note_traces_sql); !noted)
      return noted.failure();
    return counts;
  });
  if (!counted)
    return counted;
  for (const auto id : gone)
    file.drop(id);
  for (const auto& each : *counted)
    file.quarantined -= each.quarantined;
  if (auto done = file.write_anew(); !done)
    return done.failure();
  return counted;
}

} // namespace colloquy::db
