// Steps of cases as requests to the documents actor.
#pragma once

#include "messages/documents_interface.hpp"
#include "tests/documents/case_file.hpp"

#include <caf/actor_system.hpp>

#include <string>

namespace colloquy::test {

/// Who asks, and of what.
struct contract_caller {
  caf::actor_system& system;
  documents_actor whom;
  tenant_id tenant;
  std::optional<std::string> as_user{};
};

/// Blocks until the answer. `body` is that of the step.
contract_answer call_actor(const contract_caller& caller, const contract_case& of, const json& step,
                           const std::string& body);

} // namespace colloquy::test
