// Resources and prompts under the suite's names.
#include "gateway/edge.hpp"
#include "gateway/mcp_hub.hpp"
#include "tests/mcp/fixture_json.hpp"
#include "tests/mcp/fixture_registry.hpp"

namespace colloquy::tests {
namespace {

constexpr std::string_view template_begin = "test://template/", template_end = "/data";

answer contents(const std::string& uri, const char* type, const char* member, std::string value) {
  auto all = json::array();
  all.push_back({{"uri", uri}, {"mimeType", type}, {member, std::move(value)}});
  return {members_of({{"contents", std::move(all)}})};
}

task<std::optional<answer>> read(request&, const std::string& uri) {
  if (uri == "test://static-text")
    co_return contents(uri, "text/plain", "text", "This is the content of the static text resource.");
  if (uri == "test://static-binary")
    co_return contents(uri, "image/png", "blob", pixel_png);
  if (uri == "test://watched-resource")
    co_return contents(uri, "text/plain", "text", "Watched resource content");
  if (!uri.starts_with(template_begin) || !uri.ends_with(template_end) ||
      uri.size() <= template_begin.size() + template_end.size())
    co_return std::nullopt;
  const auto id = uri.substr(template_begin.size(), uri.size() - template_begin.size() - template_end.size());
  const json data{{"id", id}, {"templateTest", true}, {"data", "Data for ID: " + id}};
  co_return contents(uri, "application/json", "text", data.dump());
}

task<result<std::shared_ptr<void>>> watch(request&, const std::string& uri, std::function<void()> news) {
  if (uri != "test://watched-resource")
    co_return error{error_code::not_found, ""};
  co_return std::shared_ptr<void>(std::make_shared<std::function<void()>>(std::move(news)));
}

answer messages(json all) {
  return {members_of({{"messages", std::move(all)}})};
}

json said(json content) {
  return {{"role", "user"}, {"content", std::move(content)}};
}

json text(std::string of) {
  return {{"type", "text"}, {"text", std::move(of)}};
}

json list_of(std::initializer_list<json> all) {
  auto out = json::array();
  for (const auto& each : all)
    out.push_back(each);
  return out;
}

task<answer> simple_prompt(request&) {
  co_return messages(list_of({said(text("This is a simple prompt for testing."))}));
}

task<answer> prompt_with_arguments(request& of) {
  const auto with = of.arguments();
  co_return messages(list_of({said(text("Prompt with arguments: arg1='" + with.text("arg1").value_or("") + "', arg2='" +
                                        with.text("arg2").value_or("") + "'"))}));
}

task<answer> prompt_with_resource(request& of) {
  const json resource{{"type", "resource"},
                      {"resource",
                       {{"uri", of.arguments().text("resourceUri").value_or("")},
                        {"mimeType", "text/plain"},
                        {"text", "Embedded resource content for testing."}}}};
  co_return messages(list_of({said(resource), said(text("Please process the embedded resource above."))}));
}

task<answer> prompt_with_image(request&) {
  const json picture{{"type", "image"}, {"data", pixel_png}, {"mimeType", "image/png"}};
  co_return messages(list_of({said(picture), said(text("Please analyze the image above."))}));
}

task<answer> prompt_with_input(request& of) {
  const auto context = input_response(of, "user_context");
  if (context.is_null())
    co_return input_required(
        {{"user_context", elicitation("What context should the prompt use?", "context", "string")}});
  co_return messages(list_of(
      {said(text("Prompt with context: " + context.value("/content/context"_json_pointer, std::string("unknown"))))}));
}

task<std::vector<std::string>> complete(request&, const mcp::completion_request& wanted) {
  std::vector<std::string> out;
  for (const auto* each : {"test-value-1", "test-value-2"})
    if (std::string_view(each).starts_with(wanted.value))
      out.emplace_back(each);
  co_return out;
}

} // namespace

void add_resources_and_prompts(mcp::registry& to) {
  mcp::resource_source source;
  source.fixed = {{"test://static-text", "static-text", "Static Text", "A static text resource.", "text/plain"},
                  {"test://static-binary", "static-binary", "Static Binary", "A static image.", "image/png"},
                  {"test://watched-resource", "watched-resource", "Watched", "One that may change.", "text/plain"}};
  source.templates = {{"test://template/{id}/data", "template", "Template", "With a parameter.", "application/json"}};
  source.read = read;
  source.watch = watch;
  to.sources.push_back(std::move(source));
  to.prompts.push_back({"test_simple_prompt", "Simple", "Without arguments.", {}, simple_prompt});
  to.prompts.push_back({"test_prompt_with_arguments",
                        "With arguments",
                        "With two arguments.",
                        {{"arg1", "The first.", true}, {"arg2", "The second.", true}},
                        prompt_with_arguments});
  to.prompts.push_back({"test_prompt_with_embedded_resource",
                        "With a resource",
                        "With a resource in it.",
                        {{"resourceUri", "Which one.", true}},
                        prompt_with_resource});
  to.prompts.push_back({"test_prompt_with_image", "With an image", "With an image in it.", {}, prompt_with_image});
  to.prompts.push_back({"test_input_required_result_prompt", "With input", "That asks first.", {}, prompt_with_input});
  to.complete = complete;
}

mcp::registry fixture_registry() {
  auto all = mcp::product_registry();
  add_plain_tools(all);
  add_asking_tools(all);
  add_input_tools(all);
  add_resources_and_prompts(all);
  all.lists_change = true;
  return all;
}

} // namespace colloquy::tests
