// Tools that ask their client while they run, as the versions before 2026-07-28 have it.
#include "gateway/edge.hpp"
#include "gateway/mcp_hub.hpp"
#include "tests/mcp/fixture_json.hpp"
#include "tests/mcp/fixture_registry.hpp"

namespace colloquy::tests {
namespace {

task<answer> ask(request& of, json what, const char* begins) {
  const auto method = what["method"].get<std::string>();
  std::optional<std::string> said;
  if (of.from)
    said = co_await of.from->ask(of.out, method, what["params"].dump());
  if (!said)
    co_return mcp::text_answer(method + " is not supported by the client", true);
  const auto read = json::parse(*said, nullptr, false);
  if (method == "sampling/createMessage")
    co_return mcp::text_answer(begins + read.value("/content/text"_json_pointer, std::string("No response")));
  co_return mcp::text_answer(begins + std::string("action=") + read.value("action", "none") +
                             ", content=" + read.value("content", json::object()).dump());
}

task<answer> ask_model(request& of) {
  auto what = sampling(of.arguments().text("prompt").value_or("").c_str());
  co_return co_await ask(of, std::move(what), "LLM response: ");
}

task<answer> ask_person(request& of) {
  auto what = elicitation(of.arguments().text("message").value_or("").c_str(), "response", "string");
  co_return co_await ask(of, std::move(what), "User response: ");
}

json form(json properties) {
  return {{"method", "elicitation/create"},
          {"params",
           {{"message", "Please review the fields"},
            {"requestedSchema",
             {{"type", "object"}, {"properties", std::move(properties)}, {"required", json::array()}}}}}};
}

task<answer> ask_with_defaults(request& of) {
  auto what = form({{"name", {{"type", "string"}, {"description", "User name"}, {"default", "John Doe"}}},
                    {"age", {{"type", "integer"}, {"description", "User age"}, {"default", 30}}},
                    {"score", {{"type", "number"}, {"description", "User score"}, {"default", 95.5}}},
                    {"status",
                     {{"type", "string"},
                      {"description", "User status"},
                      {"enum", {"active", "inactive", "pending"}},
                      {"default", "active"}}},
                    {"verified", {{"type", "boolean"}, {"description", "Verified"}, {"default", true}}}});
  co_return co_await ask(of, std::move(what), "Elicitation completed: ");
}

json choice(const char* value, const char* title) {
  return {{"const", value}, {"title", title}};
}

task<answer> ask_with_choices(request& of) {
  auto titled = json::array();
  titled.push_back(choice("value1", "First Option"));
  titled.push_back(choice("value2", "Second Option"));
  titled.push_back(choice("value3", "Third Option"));
  json properties;
  properties["untitledSingle"] = {{"type", "string"}, {"enum", {"option1", "option2", "option3"}}};
  properties["titledSingle"] = {{"type", "string"}, {"oneOf", titled}};
  properties["legacyEnum"] = {{"type", "string"},
                              {"enum", {"opt1", "opt2", "opt3"}},
                              {"enumNames", {"Option One", "Option Two", "Option Three"}}};
  properties["untitledMulti"] = {{"type", "array"},
                                 {"minItems", 1},
                                 {"maxItems", 3},
                                 {"items", {{"type", "string"}, {"enum", {"option1", "option2", "option3"}}}}};
  properties["titledMulti"] = {{"type", "array"}, {"minItems", 1}, {"maxItems", 3}, {"items", {{"anyOf", titled}}}};
  auto what = form(std::move(properties));
  co_return co_await ask(of, std::move(what), "Elicitation completed: ");
}

} // namespace

void add_asking_tools(mcp::registry& to) {
  add_tool(to, "test_sampling", ask_model,
           R"({"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]})");
  add_tool(to, "test_elicitation", ask_person,
           R"({"type":"object","properties":{"message":{"type":"string"}},"required":["message"]})");
  add_tool(to, "test_elicitation_sep1034_defaults", ask_with_defaults);
  add_tool(to, "test_elicitation_sep1330_enums", ask_with_choices);
}

} // namespace colloquy::tests
