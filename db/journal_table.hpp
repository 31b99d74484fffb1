// The journal's tables: their shape, and a record as a row that can tell whether it is what was written. For
// journal_file alone.
#pragma once

#include "db/journal_file.hpp"
#include "db/journal_sqlite.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::db::journal {

/// Sets the connection up; makes the tables if the file is empty, else checks that it is a journal of this version and
/// whole. A file of another program's is only read. `name` is how errors call it.
result<void> prepare_tables(database& sqlite, const std::string& name);

inline constexpr const char* insert_sql =
    "INSERT INTO records (id, process, tenant, session, number, first_offset, epoch, written_at, payload, checksum) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
inline constexpr const char* remove_sql = "DELETE FROM records WHERE id BETWEEN ?1 AND ?2";
/// Rows for read_row().
inline constexpr const char* read_sql = "SELECT id, process, tenant, session, number, first_offset, epoch, written_at, "
                                        "payload, checksum FROM records WHERE id = ?1";
inline constexpr const char* read_all_sql = "SELECT id, process, tenant, session, number, first_offset, epoch, "
                                            "written_at, payload, checksum FROM records ORDER BY id";
/// ?2 the reason, ?3 the time, ?4 whether it is damaged.
inline constexpr const char* set_aside_sql = "INSERT INTO quarantine SELECT *, ?2, ?3, ?4 FROM records WHERE id = ?1";
inline constexpr const char* erase_sql = "DELETE FROM records WHERE tenant = ?1 AND session = ?2 RETURNING id";
/// Whose a damaged one is, its columns may not say any more.
inline constexpr const char* erase_quarantined_sql =
    "DELETE FROM quarantine WHERE (tenant = ?1 AND session = ?2) OR (damaged AND instr(payload, ?2)) RETURNING id";
/// Traces of what was deleted may be in the file until it is written anew; it is noted here across a crash.
inline constexpr const char* note_traces_sql = "INSERT OR IGNORE INTO due VALUES ('write anew')";
inline constexpr const char* forget_traces_sql = "DELETE FROM due";
inline constexpr const char* has_traces_sql = "SELECT count(*) FROM due";

/// Who used the file; the oldest are forgotten.
inline constexpr const char* note_user_sql = "INSERT OR IGNORE INTO users VALUES (?1, ?2)";
inline constexpr const char* forget_users_sql =
    "DELETE FROM users WHERE process NOT IN (SELECT process FROM users ORDER BY since DESC LIMIT 1000)";
inline constexpr const char* read_users_sql = "SELECT process FROM users";

/// Changes nothing, but has to be written.
inline constexpr const char* write_nothing_sql = "PRAGMA user_version = 1";
static_assert(journal_version == 1);

/// The entry must live until the statement has run.
void bind_row(statement& insert, std::int64_t id, const journal_entry& entry, std::int64_t written_at);

/// The present row; nothing if it is not what was written.
std::optional<journal_row> read_row(const statement& from);

/// An id as its bytes.
std::string_view view(const uuid_bytes& bytes);

} // namespace colloquy::db::journal
