// Customers, context variables and their values: from documents to records.
#pragma once

#include "actors/tagged_documents.hpp"
#include "messages/clock.hpp"
#include "messages/context_variable_requests.hpp"
#include "messages/customer_requests.hpp"

#include <optional>
#include <string>

namespace colloquy::actors {

/// What frameworks call the shape of the documents of variables and values.
inline constexpr const char* variables_version = "0.1.0";

customer_record to_customer(const tagged_thing& thing);
context_variable_record to_variable(const tagged_thing& thing);
/// What has no last_modified that can be read is stale if there is a rule.
context_value_record to_value(const std::string& document, const std::optional<std::string>& freshness_rules,
                              timestamp now);

/// Of RFC 3339 or ISO 8601, as frameworks write it: 2024-01-31T12:00:00(.123456)(Z or +00:00).
std::optional<timestamp> read_time(std::string_view text);

} // namespace colloquy::actors
