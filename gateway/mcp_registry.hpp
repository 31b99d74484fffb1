// What a server of the Model Context Protocol offers: tools, resources, prompts. The product has one registry, made
// from the table of calls; the server that the conformance suite is run against has more in it (tests/mcp/).
#pragma once

#include "gateway/loop.hpp"
#include "gateway/mcp_message.hpp"
#include "gateway/operations.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway::mcp {

struct request;

/// What a request is answered with: the members of its result, as JSON without the braces around them.
struct answer {
  std::string members{};
  std::optional<fault> failed{};
  bool is_input_required = false; ///< the client is asked first (2026-07-28)
  std::string meta{};             ///< members of its _meta (2026-07-28)
};

inline answer refuse(fault_code code, std::string message, std::string data = {}) {
  return {{}, fault{code, std::move(message), std::move(data)}};
}

/// An answer of `tools/call`.
answer text_answer(std::string_view text, bool is_error = false);

struct tool {
  std::string name;
  std::string title;
  std::string description;
  std::string input_schema;    ///< JSON
  std::string output_schema{}; ///< JSON; "": none
  bool is_read_only = false;   ///< the four hints
  bool is_destructive = false;
  bool is_idempotent = false;
  bool is_open_world = false;
  access needs = access::open; ///< who does not have it does not see the tool
  std::function<task<answer>(request&)> call{};
};

struct resource {
  std::string uri; ///< of a template with {names} in it
  std::string name;
  std::string title;
  std::string description;
  std::string mime_type;
};

struct resource_page {
  std::vector<resource> resources;
  std::string next_cursor{};
};

/// Where resources are read from. `read` gives nothing for an URI that is not of this source.
struct resource_source {
  std::vector<resource> fixed{};
  std::vector<resource> templates{};
  std::function<task<std::optional<answer>>(request&, const std::string& uri)> read{};
  /// More than the fixed ones, page by page; its cursors are its own.
  std::function<task<result<resource_page>>(request&, const std::string& cursor)> list{};
  /// Calls `news` when the resource has changed, for as long as what it gives lives; not_found: not of this source.
  std::function<task<result<std::shared_ptr<void>>>(request&, const std::string& uri, std::function<void()> news)>
      watch{};
};

struct prompt_argument {
  std::string name;
  std::string description;
  bool is_required = false;
};

struct prompt {
  std::string name;
  std::string title;
  std::string description;
  std::vector<prompt_argument> arguments{};
  std::function<task<answer>(request&)> get{};
};

struct completion_request {
  std::string reference; ///< a prompt's name or a template's URI
  bool is_prompt = false;
  std::string argument;
  std::string value; ///< what is there of it
};

struct registry {
  std::string instructions{};
  std::vector<tool> tools{};
  std::vector<resource_source> sources{};
  std::vector<prompt> prompts{};
  std::function<task<std::vector<std::string>>(request&, const completion_request&)> complete{};
  bool lists_change = false; ///< while it runs
};

/// Of the product.
registry product_registry();

} // namespace colloquy::gateway::mcp
