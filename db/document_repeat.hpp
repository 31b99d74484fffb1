// Requests about documents that may be repeated: their idempotency keys, in the same transaction. Inside db/ only.
//
// A key is inserted first, which waits for another request under it. A committed key always has a reply, so one without
// is this transaction's own: then the request is carried out, and what it comes to is kept with the key, or the key is
// deleted again if nothing was done.
#pragma once

#include "db/document_sql.hpp"
#include "messages/document_requests.hpp"

#include <optional>
#include <string>

namespace colloquy::db {

class document_repeat {
public:
  document_repeat(composed_statement& statement, const tenant_id& tenant, const std::optional<idempotency>& repeat);

  /// Runs before the statement; none without a key.
  const std::optional<statement_call>& insert_key() const noexcept { return insert_; }

  /// "WITH ": and the relation `key`, followed by a comma, if there is one.
  std::string with() const;
  /// The condition that the request is to be carried out.
  const std::string& is_first() const noexcept { return is_first_; }
  /// Relations, each after a comma, that keep the reply or delete the key: `outcome` has `state`, and `reply`, a jsonb,
  /// is an expression about it.
  std::string keep(const std::string& reply) const;
  /// Expressions for the last SELECT: the key's digest, and its reply as jsonb; null without a key.
  std::string fingerprint() const;
  std::string reply() const;

private:
  std::string where_;
  std::string is_first_ = "true";
  std::optional<statement_call> insert_;
};

/// Inserts the key, unless it is there.
statement_call insert_key_call(const tenant_id& tenant, const idempotency& repeat);
/// The condition that `k`, a row of idempotency_keys, is that key.
std::string is_key_sql(composed_statement& statement, const idempotency& repeat);

/// Of a request whose key was there already.
result<void> check_fingerprint(const idempotency& repeat, std::string_view stored);

} // namespace colloquy::db
