#include "db/document_repeat.hpp"

#include <utility>

namespace colloquy::db {
namespace {

#define COLLOQUY_NO_SESSION "'00000000-0000-0000-0000-000000000000'"

constexpr oid insert_types[] = {oids::text, oids::text, oids::text, oids::text};
constexpr statement insert_statement{
    "insert_documents_key",
    "INSERT INTO idempotency_keys (tenant_id, session_id, scope, key, fingerprint, created_at)"
    " VALUES ($1, " COLLOQUY_NO_SESSION ", $2, $3, $4, clock_timestamp())"
    " ON CONFLICT (tenant_id, session_id, scope, key) DO NOTHING",
    insert_types};

std::string scope_of(const idempotency& repeat) {
  return repeat.scope.empty() ? "documents" : "documents:" + repeat.scope;
}

constexpr const char* was_done = "(SELECT o.state IN ('done', 'same', 'inserted') FROM outcome AS o)";

} // namespace

statement_call insert_key_call(const tenant_id& tenant, const idempotency& repeat) {
  return {&insert_statement, {tenant.text(), scope_of(repeat), repeat.key, repeat.fingerprint}};
}

std::string is_key_sql(composed_statement& statement, const idempotency& repeat) {
  return "k.tenant_id = $1 AND k.session_id = " COLLOQUY_NO_SESSION " AND k.scope = " +
         statement.add_text(scope_of(repeat)) + " AND k.key = " + statement.add_text(repeat.key);
}

document_repeat::document_repeat(composed_statement& statement, const tenant_id& tenant,
                                 const std::optional<idempotency>& repeat) {
  if (!repeat)
    return;
  insert_ = insert_key_call(tenant, *repeat);
  where_ = is_key_sql(statement, *repeat);
  is_first_ = "(SELECT k.reply IS NULL FROM key AS k)";
}

std::string document_repeat::with() const {
  return where_.empty() ? "WITH "
                        : "WITH key AS MATERIALIZED (SELECT k.fingerprint, k.reply FROM idempotency_keys AS k WHERE " +
                              where_ + "), ";
}

std::string document_repeat::keep(const std::string& reply) const {
  if (where_.empty())
    return "";
  return ", kept AS (UPDATE idempotency_keys AS k SET reply = convert_to((" + reply + ")::text, 'UTF8') WHERE " +
         where_ + " AND " + was_done + "), dropped AS (DELETE FROM idempotency_keys AS k WHERE " + where_ +
         " AND k.reply IS NULL AND NOT " + was_done + ")";
}

std::string document_repeat::fingerprint() const {
  return where_.empty() ? "NULL" : "(SELECT k.fingerprint FROM key AS k)";
}

std::string document_repeat::reply() const {
  return where_.empty() ? "NULL::jsonb" : "(SELECT convert_from(k.reply, 'UTF8')::jsonb FROM key AS k)";
}

result<void> check_fingerprint(const idempotency& repeat, std::string_view stored) {
  if (stored == repeat.fingerprint)
    return {};
  return error{error_code::idempotency_mismatch,
               "idempotency key \"" + repeat.key + "\" was used before, with another request"};
}

} // namespace colloquy::db
