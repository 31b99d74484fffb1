// The cases of cases/*.json, as cases.py reads them: filled in, and what they expect held against what came.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace colloquy::test {

using nlohmann::json;

/// Strings that begin with @ stand for what would be long; cases.py tells which.
json expand(const json& value);

struct contract_case {
  std::string file;
  std::string name;
  std::string collection;           ///< also its store
  std::vector<std::string> setup{}; ///< texts of documents that it begins with
  std::vector<json> steps{};
  bool is_of_http = false; ///< about what only HTTP can say
};

/// Throws std::runtime_error if they cannot be read.
std::vector<contract_case> load_contract_cases();

/// The body that a step sends, as text. `cursor`: of the page before, if the step goes on from it.
std::string body_of(const json& step, const std::string& cursor);

/// What a call came to, in the form of the HTTP interface.
struct contract_answer {
  std::string code = "ok"; ///< or the error's
  std::string message{};   ///< of an error
  json reply = json::object();
  std::string text{};        ///< the reply as it was
  bool is_of_filter = false; ///< the error is parse_filter's, which names places in the filter
};

/// What is not as the step expects it, as sentences.
std::vector<std::string> complaints(const json& step, const contract_answer& answer);

} // namespace colloquy::test
