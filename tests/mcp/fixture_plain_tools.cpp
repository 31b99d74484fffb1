// Tools that answer with one kind of content each, log, tell their progress, or fail.
#include "gateway/edge.hpp"
#include "gateway/mcp_hub.hpp"
#include "tests/mcp/fixture_json.hpp"
#include "tests/mcp/fixture_registry.hpp"

namespace colloquy::tests {
namespace {

using namespace std::chrono_literals;

task<void> wait_a_little(request& of) {
  gateway::loop_timer timer(of.service().context());
  timer.expires_after(50ms);
  co_await timer.async_wait(gateway::use_task);
}

task<answer> simple_text(request&) {
  co_return mcp::text_answer("This is a simple text response for testing.");
}

task<answer> image(request&) {
  co_return content({{{"type", "image"}, {"data", pixel_png}, {"mimeType", "image/png"}}});
}

task<answer> audio(request&) {
  co_return content({{{"type", "audio"}, {"data", silence_wav}, {"mimeType", "audio/wav"}}});
}

json embedded(const char* uri, const char* type, std::string text) {
  return {{"type", "resource"}, {"resource", {{"uri", uri}, {"mimeType", type}, {"text", std::move(text)}}}};
}

task<answer> embedded_resource(request&) {
  auto all = json::array();
  all.push_back(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."));
  co_return content(std::move(all));
}

task<answer> mixed(request&) {
  auto all = json::array();
  all.push_back({{"type", "text"}, {"text", "Multiple content types test:"}});
  all.push_back({{"type", "image"}, {"data", pixel_png}, {"mimeType", "image/png"}});
  all.push_back(embedded("test://mixed-content-resource", "application/json", R"({"test":"data","value":123})"));
  co_return content(std::move(all));
}

task<answer> logging(request& of) {
  for (const auto* line : {"\"Tool execution started\"", "\"Tool processing data\"", "\"Tool execution completed\""}) {
    of.log("info", line);
    co_await wait_a_little(of);
  }
  co_return mcp::text_answer("Tool with logging executed successfully");
}

task<answer> progress(request& of) {
  for (const int done : {0, 50, 100}) {
    of.send_progress(done, 100, "Completed step " + std::to_string(done) + " of 100");
    co_await wait_a_little(of);
  }
  co_return mcp::text_answer("done");
}

task<answer> failing(request&) {
  co_return mcp::text_answer("This tool intentionally returns an error for testing", true);
}

task<answer> streaming(request& of) {
  of.send_progress(50, 100, "half");
  co_return mcp::text_answer("Streaming complete");
}

task<answer> log_if_asked(request& of) {
  of.log("info", "\"Diagnostic trace logging activated\"");
  co_return mcp::text_answer("Logging evaluated");
}

task<answer> change_tools(request& of) {
  of.at.announce("tools");
  co_return mcp::text_answer("Mutation triggered");
}

task<answer> change_prompts(request& of) {
  of.at.announce("prompts");
  co_return mcp::text_answer("Mutation triggered");
}

task<answer> needs_sampling(request& of) {
  if (!of.has_capability("sampling")) {
    mcp::fault why{mcp::fault_code::missing_capability, "this needs the client's capability sampling",
                   R"({"requiredCapabilities":{"sampling":{}}})", 400};
    co_return answer{{}, std::move(why)};
  }
  co_return mcp::text_answer("Success");
}

task<answer> echo_schema(request& of) {
  co_return mcp::text_answer("called with " + std::string(of.said.raw("arguments")));
}

constexpr const char* schema_2020_12 = R"({"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},
"city":{"type":"string"}}}},"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},
"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],"if":{"properties":{"contactMethod":
{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},
"additionalProperties":false})";

} // namespace

void add_plain_tools(mcp::registry& to) {
  add_tool(to, "test_simple_text", simple_text);
  add_tool(to, "test_image_content", image);
  add_tool(to, "test_audio_content", audio);
  add_tool(to, "test_embedded_resource", embedded_resource);
  add_tool(to, "test_multiple_content_types", mixed);
  add_tool(to, "test_tool_with_logging", logging);
  add_tool(to, "test_tool_with_progress", progress);
  add_tool(to, "test_error_handling", failing);
  add_tool(to, "test_streaming_elicitation", streaming);
  add_tool(to, "test_logging_tool", log_if_asked);
  add_tool(to, "test_trigger_tool_change", change_tools);
  add_tool(to, "test_trigger_prompt_change", change_prompts);
  add_tool(to, "test_missing_capability", needs_sampling);
  add_tool(to, "json_schema_2020_12_tool", echo_schema, schema_2020_12);
}

} // namespace colloquy::tests
