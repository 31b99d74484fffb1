// What may be asked about customers: those whom agents talk to. Plain values, as in session_requests.hpp.
//
// Customers and their tags are documents, of the collections "customers" and "customer_tag_associations" (or of the
// tables of a framework, config/settings.hpp: customers_table_prefix), and can be found there too. One with the id
// "guest" always exists.
//
// Errors that each may end with: invalid_request, database_unavailable, overloaded, deadline_exceeded, internal. What
// changes something is answered when it is durable.
#pragma once

#include "messages/error.hpp"
#include "messages/ids.hpp"
#include "messages/limits.hpp"
#include "messages/session_requests.hpp"

#include <optional>
#include <string>
#include <vector>

namespace colloquy {

/// Of one customer, or of one context variable.
inline constexpr std::size_t tags_max = 100;

inline constexpr const char* guest_customer = "guest";

struct customer_record {
  std::string id;
  std::string creation_utc{};      ///< as it is stored; "" if that is null
  std::string name;                ///< up to limits::title_chars_max characters
  std::string extra = "{}";        ///< a JSON object
  std::vector<std::string> tags{}; ///< in the order in which they were given, each once
};

/// Errors: conflict (there is one of that id), idempotency_mismatch.
struct create_customer {
  using reply = customer_record;
  tenant_id tenant;
  std::optional<std::string> id{}; ///< 1 to limits::name_chars_max characters; none: one is made
  std::string name;
  std::string extra = "{}";
  std::vector<std::string> tags{};
  std::optional<idempotency> repeat{}; ///< the same again is answered as it was then
};

/// Errors: not_found.
struct get_customer {
  using reply = customer_record;
  tenant_id tenant;
  std::string id;
};

/// Changes what is set. Errors: not_found.
struct update_customer {
  using reply = customer_record;
  tenant_id tenant;
  std::string id;
  std::optional<std::string> name{};
  std::optional<std::string> extra{}; ///< instead of what was there
};

/// With what gives it its tags. Errors: not_found; invalid_request (the guest).
struct customer_deleted {};
struct delete_customer {
  using reply = customer_deleted;
  tenant_id tenant;
  std::string id;
};

/// By (creation_utc, id); those of one tag in the order in which it was given.
struct customer_page {
  std::vector<customer_record> customers;
  std::string next_cursor{};
};
struct list_customers {
  using reply = customer_page;
  tenant_id tenant;
  std::optional<std::string> tag{};
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

/// A tag that the customer has already is not given again. Errors: not_found; invalid_request (more than
/// tags_max).
struct tag_customer {
  using reply = customer_record;
  tenant_id tenant;
  std::string id;
  std::string tag; ///< 1 to limits::name_chars_max characters
};

/// One that the customer does not have is no error. Errors: not_found (the customer).
struct untag_customer {
  using reply = customer_record;
  tenant_id tenant;
  std::string id;
  std::string tag;
};

} // namespace colloquy
