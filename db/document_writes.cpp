// Updating, upserting and deleting one document.
#include "db/document_matches.hpp"
#include "db/document_outcome.hpp"
#include "db/document_repeat.hpp"
#include "db/row_reader.hpp"
#include "messages/document_fields.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::db {
namespace {

constexpr std::string_view unique_violation = "23505";

std::string user_json(const std::string& user) {
  return to_json({literal_kind::string, user});
}

/// The relations `candidates`, if there are any, and `target`, which is locked.
std::string target_sql(const document_matches::locking_select& found) {
  return (found.candidates.empty() ? "" : "candidates AS MATERIALIZED (" + found.candidates + "), ") +
         "target AS MATERIALIZED (" + found.target + ")";
}

std::string when_all_were_taken(const document_matches::locking_select& found) {
  return found.candidates.empty() ? "" : " WHEN EXISTS (SELECT FROM candidates) THEN 'race'";
}

/// What an upsert does when nothing matches.
struct insertion {
  std::string relations; ///< after a comma: `home`, `inserted`
  std::string whens;     ///< of the CASE that tells the outcome
};

insertion insertion_of(composed_statement& statement, const document_matches& matches,
                       const document_matches::locking_select& found, const document_repeat& repeat,
                       const std::string& set, const std::optional<std::string>& as_user) {
  const auto& collection = matches.collection();
  const auto is_taken = "EXISTS (SELECT FROM " + collection.table + " AS t WHERE " +
                        matches.is_document("t", "(" + set + " ->> 'id')") + ")";
  const auto is_foreign =
      as_user ? "((" + set + " -> 'customer_id') IS DISTINCT FROM " + statement.add_jsonb(user_json(*as_user)) + ")"
              : std::string("false");
  const auto nothing_matched = std::string("NOT EXISTS (SELECT FROM target)") +
                               (found.candidates.empty() ? "" : " AND NOT EXISTS (SELECT FROM candidates)");
  return {", " + home_sql(collection) + ", inserted AS (" +
              insert_sql(collection, set,
                         "home AS h WHERE " + repeat.is_first() + " AND " + nothing_matched + " AND NOT " + is_foreign +
                             " AND NOT " + is_taken + " RETURNING bytes, data") +
              ")",
          " WHEN EXISTS (SELECT FROM inserted) THEN 'inserted' WHEN " + is_foreign + " THEN 'forbidden' WHEN " +
              is_taken + " THEN 'taken' WHEN true THEN 'race'"};
}

/// A document may stay as large as it is, whatever was allowed when it came. Its bytes are counted exactly, as
/// messages/document.hpp does, only if they may be too many: that takes some time.
std::string update_sql(composed_statement& statement, const document_matches& matches, const document_repeat& repeat,
                       const update_document& wanted, std::size_t bytes_max, bool inserts) {
  const auto set = statement.add_jsonb(wanted.set);
  const auto found = matches.lock_first(repeat.is_first());
  const auto foreign = wanted.as_user ? " WHEN (m.after -> 'customer_id') IS DISTINCT FROM " +
                                            statement.add_jsonb(user_json(*wanted.as_user)) + " THEN 'forbidden'"
                                      : std::string();
  const auto insert = inserts ? insertion_of(statement, matches, found, repeat, set, wanted.as_user) : insertion{};
  const auto inserted = [&](const std::string& column) {
    return inserts ? ", (SELECT i." + column + " FROM inserted AS i)" : std::string();
  };
  const auto max = statement.add_int8(static_cast<std::int64_t>(bytes_max));
  return repeat.with() + target_sql(found) + ", merged AS MATERIALIZED (SELECT t.id, t.bytes, t.data, t.data || " +
         set +
         " AS after FROM target AS t), judged AS MATERIALIZED (SELECT m.*, CASE WHEN CASE WHEN"
         " octet_length(m.after::text) > greatest(" +
         max + ", m.bytes) THEN document_bytes(m.after) > " + max + " ELSE false END THEN 'too large'" + foreign +
         " WHEN m.after::text = m.data::text THEN 'same' ELSE 'done' END AS state FROM merged AS m),"
         " changed AS (UPDATE " +
         matches.collection().table + " AS o SET data = (SELECT j.after FROM judged AS j) WHERE " +
         matches.is_document("o", "(SELECT j.id FROM judged AS j WHERE j.state = 'done')") + " RETURNING o.bytes)" +
         insert.relations + ", outcome AS MATERIALIZED (SELECT CASE WHEN NOT " + repeat.is_first() +
         " THEN 'repeated' WHEN EXISTS (SELECT FROM judged) THEN (SELECT CASE WHEN j.state = 'done' AND NOT EXISTS"
         " (SELECT FROM changed) THEN 'race' ELSE j.state END FROM judged AS j)" +
         when_all_were_taken(found) + insert.whens +
         " ELSE 'none' END AS state), reply AS MATERIALIZED (SELECT CASE o.state WHEN 'repeated' THEN " +
         repeat.reply() +
         " ELSE jsonb_build_object('matched', (o.state IN ('done', 'same'))::int, 'modified', (o.state = 'done')::int,"
         " 'document', coalesce((SELECT j.after FROM judged AS j)" +
         inserted("data") + ")) END AS reply FROM outcome AS o)" + repeat.keep("SELECT r.reply FROM reply AS r") +
         (inserts ? unmake_sql(matches.collection()) : "") +
         " SELECT o.state, (r.reply ->> 'matched')::bigint, (r.reply ->> 'modified')::bigint, r.reply ->> 'document',"
         " coalesce((SELECT c.bytes - j.bytes FROM changed AS c, judged AS j)" +
         inserted("bytes") + ", 0)::bigint, " + repeat.fingerprint() + " FROM outcome AS o, reply AS r";
}

unit update_or_insert(const document_tables& tables, const update_document& wanted, std::size_t bytes_max,
                      bool inserts) {
  composed_statement statement(wanted.tenant);
  const document_matches matches(statement, tables, wanted.collection, with_user(wanted.where, wanted.as_user));
  const document_repeat repeat(statement, wanted.tenant, wanted.repeat);
  auto sql = update_sql(statement, matches, repeat, wanted, bytes_max, inserts);
  auto work = begin_documents_unit(wanted.tenant, wanted.as_user);
  if (repeat.insert_key())
    work.calls.push_back(*repeat.insert_key());
  if (inserts) {
    work.calls.push_back(make_collection_call(wanted.tenant, wanted.collection));
    work.calls.push_back(lock_collection_call(wanted.tenant, wanted.collection));
  }
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

} // namespace

// ---- what became of it

bool lost_race(const unit_outcome& outcome) noexcept {
  if (outcome.failure)
    return outcome.failure->sqlstate == unique_violation;
  return std::any_of(outcome.results.begin(), outcome.results.end(), [](const rows& each) {
    return each.count() > 0 && each.columns() > 0 && each.get(0, 0) == states::race;
  });
}

error write_error(const db_failure& failure) {
  if (failure.sqlstate == unique_violation)
    return {error_code::conflict, "there is a document with that id already"};
  return to_error(failure);
}

error taken_error(const std::string& id) {
  return {error_code::conflict, "there is a document \"" + id + "\" already"};
}

std::optional<error> refusal_of(std::string_view state) {
  if (state == states::race)
    return error{error_code::conflict, "other requests changed the same documents at the same moment; try again"};
  if (state == states::forbidden)
    return error{error_code::forbidden, "the document's customer_id would not be the user's own"};
  if (state == states::taken)
    return error{error_code::conflict, "there is a document with that id already"};
  return std::nullopt;
}

// ---- updating

unit update_unit(const document_tables& tables, const update_document& wanted, std::size_t bytes_max) {
  return update_or_insert(tables, wanted, bytes_max, false);
}

unit upsert_unit(const document_tables& tables, const update_document& wanted, std::size_t bytes_max) {
  return update_or_insert(tables, wanted, bytes_max, true);
}

result<written<document_updated>> decode_updated(const update_document& wanted, const unit_outcome& outcome,
                                                 std::size_t bytes_max) {
  const auto is_taken = outcome.failure ? outcome.failure->sqlstate == unique_violation
                                        : outcome.results.back().get(0, 0) == states::taken;
  if (is_taken)
    if (const auto id = document_fields(wanted.set).text("id"))
      return taken_error(*id);
  if (outcome.failure)
    return write_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  const auto state = row.text();
  if (state == states::too_large)
    return error{error_code::payload_too_large,
                 "the document would have more than the " + std::to_string(bytes_max) + " bytes allowed"};
  if (auto refused = refusal_of(state))
    return *refused;
  written<document_updated> done;
  done.reply.matched = row.int8();
  done.reply.modified = row.int8();
  done.reply.document = row.optional_text();
  done.bytes = row.int8();
  if (state != states::repeated)
    return done;
  done.is_repeated = true;
  if (auto same = check_fingerprint(*wanted.repeat, row.bytes()); !same)
    return same.failure();
  return done;
}

// ---- deleting

unit delete_unit(const document_tables& tables, const delete_document& wanted) {
  composed_statement statement(wanted.tenant);
  const document_matches matches(statement, tables, wanted.collection, with_user(wanted.where, wanted.as_user));
  const auto found = matches.lock_first("true");
  auto sql =
      "WITH " + target_sql(found) + ", gone AS (DELETE FROM " + matches.collection().table + " AS o WHERE " +
      matches.is_document("o", "(SELECT t.id FROM target AS t)") +
      " RETURNING o.bytes, o.data) SELECT CASE WHEN EXISTS (SELECT FROM gone) THEN 'done' WHEN EXISTS (SELECT"
      " FROM target) THEN 'race'" +
      when_all_were_taken(found) +
      " ELSE 'none' END, (SELECT g.data::text FROM gone AS g), coalesce((SELECT g.bytes FROM gone AS g), 0)::bigint";
  auto work = begin_documents_unit(wanted.tenant, wanted.as_user);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<written<document_deleted>> decode_deleted(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  if (auto refused = refusal_of(row.bytes()))
    return *refused;
  written<document_deleted> deleted;
  deleted.reply.document = row.optional_text();
  deleted.bytes = -row.int8();
  return deleted;
}

} // namespace colloquy::db
