// Tools from the table of calls: a tool's arguments are a call's parameters and body under their own names, its schema
// is made from the same rules, it is checked by the same reader, and what it does is what the call does.
#pragma once

#include "gateway/http_message.hpp"
#include "gateway/mcp_errors.hpp"
#include "gateway/mcp_request.hpp"
#include "gateway/rules.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway::mcp {

/// Where an argument goes in the call.
enum class place : std::uint8_t { path, query, body, header, none };

struct argument {
  std::string_view name;
  const field_rule* rule = nullptr;
  place in = place::body;
  bool is_required = false;
};
using argument_list = std::vector<argument>;

/// Those of a call: of its path under these names, in order, then of its query and its body, but those left out.
argument_list arguments_of(operation_id id, std::initializer_list<std::string_view> path_names = {},
                           std::initializer_list<std::string_view> left_out = {});

/// A JSON Schema without references.
std::string input_schema(const argument_list& arguments);
std::string output_schema(const shape_rule& shape);

/// A call, to be made.
struct inner_call {
  operation_id id = operation_id::count_;
  std::vector<std::string> path{};
  std::string query{};
  std::string body{}; ///< JSON; "": none
  std::string idempotency_key{};
  std::string version{}; ///< If-Match
};

/// Puts the arguments that are there into their places. Those that are not known, and those of a path that are missing,
/// are told.
struct filled_call {
  inner_call call{};
  std::vector<std::string> mistakes{};
};
filled_call fill(operation_id id, const argument_list& arguments, const members& said);

/// As this client: its scopes, its tenant, its quotas. What is waited for ends when the request is cancelled, and its
/// progress is told.
task<http_reply> run_inner(request& of, inner_call what);

/// What a model is told. `is_untrusted`: it is fenced, for it may have been written by anybody.
answer answer_of(const http_reply& reply, bool is_untrusted = false, subject about = subject::conversation);
answer answer_of(std::string_view json, bool is_untrusted = false);
answer mistakes_answer(const std::vector<std::string>& mistakes);
answer mistake_answer(std::string mistake);
answer error_answer(const error& why, subject about = subject::conversation);

} // namespace colloquy::gateway::mcp
