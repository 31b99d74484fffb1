#include "db/joint_documents.hpp"

#include "db/document_matches.hpp"
#include "db/document_outcome.hpp"
#include "db/document_repeat.hpp"
#include "db/row_reader.hpp"
#include "db/session_queries.hpp"

#include <limits>
#include <utility>

namespace colloquy::db {
namespace {

// What a count of none is divided by.
constexpr std::string_view division_by_zero = "22012";

} // namespace

std::size_t joint_unit::add(unit part) {
  for (auto& call : part.calls)
    whole_.calls.push_back(std::move(call));
  ends_.push_back(whole_.calls.size());
  return ends_.size() - 1;
}

unit_outcome outcome_of(const std::vector<std::size_t>& ends, std::size_t part, const unit_outcome& whole) {
  if (whole.failure)
    return whole;
  const auto begin = part == 0 ? 0 : ends[part - 1];
  return {{whole.results.begin() + static_cast<std::ptrdiff_t>(begin),
           whole.results.begin() + static_cast<std::ptrdiff_t>(ends[part])},
          std::nullopt};
}

unit first_time_unit(const tenant_id& tenant, const idempotency& repeat) {
  composed_statement statement(tenant);
  auto sql = "SELECT 1 / (SELECT count(*) FROM idempotency_keys AS k WHERE " + is_key_sql(statement, repeat) +
             " AND k.reply IS NULL)";
  auto work = begin_documents_unit(tenant, std::nullopt);
  work.calls.push_back(insert_key_call(tenant, repeat));
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

unit keep_reply_unit(const tenant_id& tenant, const idempotency& repeat, const std::string& reply) {
  composed_statement statement(tenant);
  auto sql = "UPDATE idempotency_keys AS k SET reply = convert_to(" + statement.add_text(reply) + ", 'UTF8') WHERE " +
             is_key_sql(statement, repeat);
  auto work = begin_documents_unit(tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

unit kept_reply_unit(const tenant_id& tenant, const idempotency& repeat) {
  composed_statement statement(tenant);
  auto sql = "SELECT k.fingerprint, convert_from(k.reply, 'UTF8') FROM idempotency_keys AS k WHERE " +
             is_key_sql(statement, repeat);
  auto work = begin_documents_unit(tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<std::optional<std::string>> decode_kept_reply(const idempotency& repeat, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  if (outcome.results.back().count() == 0)
    return std::optional<std::string>{};
  row_reader row(outcome.results.back(), 0);
  if (auto same = check_fingerprint(repeat, row.bytes()); !same)
    return same.failure();
  return row.optional_text();
}

unit require_unit(const document_tables& tables, const tenant_id& tenant, const std::string& collection,
                  const std::string& id, required how) {
  composed_statement statement(tenant);
  const auto home = find_collection(statement, tables, collection);
  auto sql = "SELECT 1 / (SELECT count(*) FROM (SELECT FROM " + home.table +
             " AS o WHERE o.tenant_id = $1 AND o.collection_id = " + home.id + " AND o.id = " + statement.add_text(id) +
             (how == required::made_here ? " AND o.xmin = pg_current_xact_id()::xid" : "") +
             (how == required::alone ? " FOR UPDATE" : " FOR KEY SHARE") + ") AS found)";
  auto work = begin_documents_unit(tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

unit require_fewer_unit(const document_tables& tables, const tenant_id& tenant, const std::string& collection,
                        const document_filter& where, const std::string& field, std::size_t fewer_than) {
  composed_statement statement(tenant);
  const document_matches matches(statement, tables, collection, where);
  const auto found = matches.select(place_order{}, std::numeric_limits<std::int32_t>::max());
  auto sql = "SELECT 1 / (SELECT (count(DISTINCT m.data -> " + statement.add_text(field) + ") < " +
             statement.add_int8(static_cast<std::int64_t>(fewer_than)) + ")::int FROM (" + found + ") AS m)";
  auto work = begin_documents_unit(tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

bool was_missing(const unit_outcome& outcome) noexcept {
  return outcome.failure && outcome.failure->sqlstate == division_by_zero;
}

unit delete_all_unit(const document_tables& tables, const tenant_id& tenant, const std::string& collection,
                     const document_filter& where) {
  composed_statement statement(tenant);
  const document_matches matches(statement, tables, collection, where);
  const auto found = matches.select(place_order{}, std::numeric_limits<std::int32_t>::max());
  auto sql = "WITH target AS MATERIALIZED (" + found + "), gone AS (DELETE FROM " + matches.collection().table +
             " AS o USING target AS t WHERE " + matches.is_document("o", "t.id") +
             " RETURNING o.bytes) SELECT count(*), coalesce(sum(g.bytes), 0)::bigint FROM gone AS g";
  auto work = begin_documents_unit(tenant, std::nullopt);
  work.calls.push_back(std::move(statement).finish(std::move(sql)));
  return work;
}

result<documents_gone> decode_gone(const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  row_reader row(outcome.results.back(), 0);
  documents_gone gone;
  gone.count = row.int8();
  gone.bytes = -row.int8();
  return gone;
}

} // namespace colloquy::db
