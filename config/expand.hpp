// "${NAME}" in values.
#pragma once

#include "config/assignments.hpp"
#include "messages/error.hpp"

#include <map>
#include <string>
#include <vector>

namespace colloquy::config {

/// Expands references from the environment, then from a `.env`. What a reference brings in is expanded as well.
/// Bounded in depth, steps and size, so that no `.env` can make the start hang.
class expander {
public:
  /// Both must outlive it. Of several assignments to a name the last counts.
  expander(const std::map<std::string, std::string>& environment, const std::vector<assignment>& env_file)
    : environment_(&environment)
    , env_file_(&env_file) {}

  /// Fails for an undefined name, a reference that is not "${NAME}", and one that leads to itself; the sentence names
  /// the name and never a value.
  result<std::string> expand(const written_value& value) const;

private:
  const std::map<std::string, std::string>* environment_;
  const std::vector<assignment>* env_file_;
};

/// True if expanding would change it, so that what it was written as says less than what it came to.
bool has_reference(const written_value& value);

} // namespace colloquy::config
