// Which collections the framework stores keep their things in.
#pragma once

#include "config/settings.hpp"
#include "db/document_tables.hpp"

#include <set>
#include <string>

namespace colloquy::actors {

/// The collections that they are in.
struct framework_collections {
  std::string customers = "customers";
  std::string customer_tags = "customer_tag_associations";
  std::string variables = "context_variables";
  std::string variable_tags = "context_variable_tag_associations";
  std::string values = "context_variable_values";

  static framework_collections of(const config::settings& settings);

  /// With the tables that belong to stores: what is in there holds for all users of a tenant, whoever its customer_id
  /// says that it is of. So nobody writes there in one user's name.
  std::set<std::string> shared_by_users(const db::document_tables& tables) const;
};

} // namespace colloquy::actors
