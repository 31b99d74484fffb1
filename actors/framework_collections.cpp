#include "actors/framework_collections.hpp"

namespace colloquy::actors {

framework_collections framework_collections::of(const config::settings& settings) {
  framework_collections made;
  if (const auto& prefix = settings.customers_table_prefix) {
    made.customers = *prefix;
    made.customer_tags = *prefix + "customer_tag_associations";
  }
  if (const auto& prefix = settings.context_variables_table_prefix) {
    made.variables = *prefix;
    made.variable_tags = *prefix + "variable_tag_associations";
    made.values = *prefix + "values";
  }
  return made;
}

std::set<std::string> framework_collections::shared_by_users(const db::document_tables& tables) const {
  std::set<std::string> names{customers, customer_tags, variables, variable_tags, values};
  for (const auto& each : tables.all())
    names.insert(each.collection);
  return names;
}

} // namespace colloquy::actors
