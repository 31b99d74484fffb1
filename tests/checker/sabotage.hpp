// Whether the checker can fail: does to the database what a broken service would do to it, looks, and takes it back.
#pragma once

#include "tests/checker/evidence.hpp"

#include <string>
#include <vector>

namespace colloquy::checker {

/// The kinds of harm that were not seen, one sentence each. There must be answers of all kinds in the evidence. Throws
/// test::sql_error.
std::vector<std::string> unseen_harm(const std::string& conninfo, const evidence& promised);

} // namespace colloquy::checker
