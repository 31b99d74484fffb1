// The product's tools; for mcp_product.cpp alone.
#pragma once

#include "gateway/mcp_calls.hpp"
#include "gateway/mcp_registry.hpp"

#include <string>
#include <vector>

namespace colloquy::gateway::mcp {

/// What a tool is, before its schemas are written out.
struct tool_sketch {
  std::string name;
  std::string title;
  std::string description;
  argument_list arguments{};
  const shape_rule* result = nullptr;
  bool is_read_only = false;
  bool is_destructive = false;
  bool is_idempotent = false;
  access needs = access::read;
};

using tool_body = std::function<task<answer>(request&, const argument_list&)>;
tool make_tool(const tool_sketch& of, tool_body body);

std::vector<tool> session_tools();
std::vector<tool> document_tools();
std::vector<tool> database_tools();
std::vector<tool> service_tools();

/// What is there to be read.
std::vector<resource_source> product_sources();
std::vector<prompt> product_prompts();
task<std::vector<std::string>> complete_argument(request& of, const completion_request& wanted);

} // namespace colloquy::gateway::mcp
