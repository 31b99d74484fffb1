// JSON Schemas and examples from rules.
#pragma once

#include "gateway/rules.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <string>

namespace colloquy::gateway {

using nlohmann::ordered_json;

/// Shapes that something refers to, by name.
using shape_set = std::map<std::string, const shape_rule*>;

/// Adds the shapes it refers to.
ordered_json schema_of(const field_rule& rule, shape_set& used);
ordered_json schema_of(const shape_rule& shape, shape_set& used);
ordered_json reference_to(const shape_rule& shape, shape_set& used);
/// A value that the rule allows.
ordered_json example_of(const field_rule& rule);
/// An object with the fields that must be there, and those that have an example.
ordered_json example_of(const shape_rule& shape);

} // namespace colloquy::gateway
