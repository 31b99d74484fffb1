// Short ways to write what the fixture answers.
#pragma once

#include "gateway/mcp_registry.hpp"
#include "gateway/mcp_request.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

namespace colloquy::tests {

namespace mcp = gateway::mcp;
using gateway::task;
using mcp::answer;
using mcp::request;
using json = nlohmann::ordered_json;

/// The members of an object, without its braces.
inline std::string members_of(const json& object) {
  const auto text = object.dump();
  return text.substr(1, text.size() - 2);
}

inline answer content(json all) {
  return {members_of({{"content", std::move(all)}})};
}

inline void add_tool(mcp::registry& to, std::string name, std::function<task<answer>(request&)> call,
                     std::string schema = R"({"type":"object","properties":{}})") {
  mcp::tool made{std::move(name), "", "For the conformance suite.", std::move(schema)};
  made.call = std::move(call);
  to.tools.push_back(std::move(made));
}

/// What a client was asked for and has sent along; null if it has not, or not as an object.
inline json input_response(const request& of, std::string_view name) {
  const auto all =
      json::parse(of.said.raw("inputResponses").empty() ? "null" : of.said.raw("inputResponses"), nullptr, false);
  const auto found = all.is_object() ? all.find(name) : all.end();
  return all.is_object() && found != all.end() && found->is_object() ? *found : json();
}

inline answer input_required(const json& requests, const std::string& state = {}) {
  json members{{"inputRequests", requests}};
  if (!state.empty())
    members["requestState"] = state;
  answer out{members_of(members)};
  out.is_input_required = true;
  return out;
}

inline json elicitation(const char* message, const char* field, const char* type) {
  return {{"method", "elicitation/create"},
          {"params",
           {{"message", message},
            {"requestedSchema",
             {{"type", "object"}, {"properties", {{field, {{"type", type}}}}}, {"required", json::array({field})}}}}}};
}

inline json sampling(const char* text) {
  return {{"method", "sampling/createMessage"},
          {"params",
           {{"messages", json::array({{{"role", "user"}, {"content", {{"type", "text"}, {"text", text}}}}})},
            {"maxTokens", 100}}}};
}

inline json roots() {
  return {{"method", "roots/list"}, {"params", json::object()}};
}

} // namespace colloquy::tests
