#include "gateway/mcp_message.hpp"

#include "gateway/json_writer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

namespace colloquy::gateway::mcp {
namespace {

/// What is too deep for a call is told by who reads the call, with its place.
constexpr int depth_max = limits::document_depth_max * 10;

bool is_id(std::string_view json) {
  if (json.starts_with('"'))
    return true;
  const auto digits = json.starts_with('-') ? json.substr(1) : json;
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

/// A line break inside JSON is a blank between its tokens; to who reads lines or server-sent events it is an end.
std::string in_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

message_fault refusal(std::string why, std::string_view id = "null") {
  return {{fault_code::invalid_request, std::move(why), {}, 400}, std::string(id)};
}

} // namespace

members::members(std::string_view object) {
  if (!object.starts_with('{'))
    return;
  if (auto split = split_object(object))
    all_ = std::move(*split);
}

std::string_view members::raw(std::string_view name) const noexcept {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const raw_member& each) { return each.key == name; });
  return found == all_.end() ? std::string_view() : found->value;
}

std::optional<std::string> members::text(std::string_view name) const {
  return string_of(raw(name));
}

std::optional<std::int64_t> members::integer(std::string_view name) const {
  const auto json = raw(name);
  std::int64_t number = 0;
  const auto read = std::from_chars(json.data(), json.data() + json.size(), number);
  if (json.empty() || read.ec != std::errc{} || read.ptr != json.data() + json.size())
    return std::nullopt;
  return number;
}

std::optional<std::string> string_of(std::string_view json) {
  if (!json.starts_with('"'))
    return std::nullopt;
  auto read = nlohmann::json::parse(json, nullptr, false);
  if (!read.is_string())
    return std::nullopt;
  return std::move(read.get_ref<std::string&>());
}

std::string id_value(std::string_view json) {
  if (const auto text = string_of(json))
    return '"' + *text;
  return json == "-0" ? "0" : std::string(json);
}

std::variant<message, message_fault> read_message(std::string_view text) {
  if (auto checked = check_json(text, depth_max); !checked)
    return message_fault{
        {fault_code::parse_error, "this is no JSON that is taken: " + checked.failure().message, {}, 400}};
  const auto from = text.find_first_not_of(" \t\r\n");
  message out;
  out.top = members(text.substr(from));
  if (out.top.all().empty())
    return refusal("a message is one JSON object");
  const auto id = out.top.raw("id");
  const auto shown_id = is_id(id) ? id : std::string_view("null");
  if (out.top.text("jsonrpc") != "2.0")
    return refusal("jsonrpc must be \"2.0\"", shown_id);
  if (!id.empty() && !is_id(id) && !(id == "null" && out.top.has("error")))
    return refusal("id must be a string or an integer");
  out.id = id;
  if (!out.top.has("method")) {
    if (id.empty() || (!out.top.has("result") && !out.top.has("error")))
      return refusal("method is missing", shown_id);
    out.kind = message_kind::response;
    return out;
  }
  auto method = out.top.text("method");
  if (!method)
    return refusal("method must be a string", shown_id);
  out.method = std::move(*method);
  out.params = out.top.raw("params");
  if (!out.params.empty() && !out.params.starts_with('{'))
    return message_fault{{fault_code::invalid_params, "params must be an object", {}, 400}, std::string(shown_id)};
  out.kind = id.empty() ? message_kind::notification : message_kind::request;
  return out;
}

std::string write_fault(std::string_view id, const fault& why) {
  std::string out;
  json_writer to(out);
  to.open_object().member("jsonrpc", "2.0").raw_member("id", id.empty() ? "null" : id).key("error").open_object();
  to.member("code", static_cast<int>(why.code)).member("message", why.message);
  if (!why.data.empty())
    to.raw_member("data", why.data);
  to.close_object().close_object();
  return in_one_line(std::move(out));
}

std::string write_result(std::string_view id, std::string_view result) {
  std::string out;
  json_writer(out)
      .open_object()
      .member("jsonrpc", "2.0")
      .raw_member("id", id)
      .raw_member("result", result)
      .close_object();
  return in_one_line(std::move(out));
}

std::string write_call(std::string_view method, std::string_view params, std::string_view id) {
  std::string out;
  json_writer to(out);
  to.open_object().member("jsonrpc", "2.0");
  if (!id.empty())
    to.raw_member("id", id);
  to.member("method", method);
  if (!params.empty())
    to.raw_member("params", params);
  to.close_object();
  return in_one_line(std::move(out));
}

} // namespace colloquy::gateway::mcp
