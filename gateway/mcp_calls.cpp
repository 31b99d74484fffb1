#include "gateway/mcp_calls.hpp"

#include "gateway/edge.hpp"
#include "gateway/field_reader.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/mcp_errors.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/message_rules.hpp"
#include "gateway/openapi_schema.hpp"
#include "gateway/problem.hpp"
#include "gateway/url.hpp"
#include "messages/json_scan.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace colloquy::gateway::mcp {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr auto progress_interval = 1s;
constexpr int inline_depth_max = 8;

constexpr field_rule idempotency_rule = {
    .name = "idempotency_key",
    .kind = field_kind::text,
    .least = 1,
    .most = limits::name_chars_max,
    .about = "A name of your own for this call: repeated with it, it is done once and answered the same."};
constexpr field_rule version_rule = {.name = "expected_version",
                                     .kind = field_kind::integer,
                                     .least = 1,
                                     .about = "Only if the session still has this version."};

/// References put in place, and what only tools for other languages need taken out.
void put_in_place(ordered_json& schema, shape_set& used, bool is_bare, int depth) {
  if (schema.is_array()) {
    for (auto& each : schema)
      put_in_place(each, used, is_bare, depth);
    return;
  }
  if (!schema.is_object())
    return;
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    const auto path = reference->get<std::string>();
    const auto found = used.find(path.substr(path.rfind('/') + 1));
    auto description = schema.contains("description") ? schema["description"] : ordered_json();
    schema = found == used.end() || depth >= inline_depth_max ? ordered_json{{"type", "object"}}
                                                              : schema_of(*found->second, used);
    if (!description.is_null())
      schema["description"] = std::move(description);
    else
      schema.erase("description");
    put_in_place(schema, used, is_bare, depth + 1);
    return;
  }
  if (schema.value("format", "") == "int64")
    schema.erase("format");
  if (is_bare && schema.contains("description") && schema["description"].is_string())
    schema.erase("description");
  for (const auto* name : {"properties"})
    if (schema.contains(name))
      for (auto& [key, each] : schema[name].items())
        put_in_place(each, used, is_bare, depth);
  for (const auto* name : {"items", "additionalProperties", "oneOf", "anyOf"})
    if (schema.contains(name))
      put_in_place(schema[name], used, is_bare, depth);
}

const field_rule* find_rule(const argument_list& all, std::string_view name, const argument** found) {
  for (const auto& each : all)
    if (each.name == name) {
      *found = &each;
      return each.rule;
    }
  return nullptr;
}

/// A value as it stands in a query or a path.
std::string parameter_text(std::string_view json) {
  if (auto text = string_of(json))
    return std::move(*text);
  if (const auto all = split_array(json)) {
    std::string out;
    for (const auto each : *all)
      out += (out.empty() ? "" : ",") + string_of(each).value_or(std::string(each));
    return out;
  }
  return std::string(json);
}

/// Says how long something has been waited for, until it is over.
class progress_teller {
public:
  explicit progress_teller(request& of)
    : state_(std::make_shared<state>(of)) {
    if (of.meta.has("progressToken"))
      asio::co_spawn(of.service().context(), tell(state_), asio::detached);
  }
  progress_teller(const progress_teller&) = delete;
  progress_teller& operator=(const progress_teller&) = delete;
  ~progress_teller() {
    state_->of = nullptr;
    state_->timer.cancel();
  }

private:
  struct state {
    explicit state(request& whose)
      : of(&whose)
      , timer(whose.service().context()) {}
    request* of;
    loop_timer timer;
  };

  static task<void> tell(std::shared_ptr<state> with) {
    for (int seconds = 1; with->of != nullptr; ++seconds) {
      with->timer.expires_after(progress_interval);
      boost::system::error_code ignored;
      co_await with->timer.async_wait(asio::redirect_error(use_task, ignored));
      if (with->of != nullptr)
        with->of->send_progress(seconds, std::nullopt, "still waiting, " + std::to_string(seconds) + " s");
    }
  }

  std::shared_ptr<state> state_;
};

} // namespace

argument_list arguments_of(operation_id id, std::initializer_list<std::string_view> path_names,
                           std::initializer_list<std::string_view> left_out) {
  const auto& of = operation_of(id);
  argument_list all;
  auto name = path_names.begin();
  for (const auto& rule : of.path_fields)
    all.push_back({name != path_names.end() ? *name++ : rule.name, &rule, place::path, true});
  const auto add = [&](std::span<const field_rule> rules, place in) {
    for (const auto& rule : rules)
      if (std::find(left_out.begin(), left_out.end(), rule.name) == left_out.end())
        all.push_back({rule.name, &rule, in, rule.is_required});
  };
  add(of.query_fields, place::query);
  if (of.body != nullptr)
    add(of.body->fields, place::body);
  if (of.traits.is_repeatable)
    all.push_back({idempotency_rule.name, &idempotency_rule, place::header, false});
  if (of.traits.has_version)
    all.push_back({version_rule.name, &version_rule, place::header, false});
  return all;
}

std::string input_schema(const argument_list& arguments) {
  shape_set used;
  ordered_json properties = ordered_json::object();
  auto required = ordered_json::array();
  for (const auto& each : arguments) {
    auto schema = schema_of(*each.rule, used);
    put_in_place(schema, used, false, 0);
    properties[std::string(each.name)] = std::move(schema);
    if (each.is_required)
      required.push_back(each.name);
  }
  ordered_json schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty())
    schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema.dump();
}

std::string output_schema(const shape_rule& shape) {
  shape_set used;
  auto schema = schema_of(shape, used);
  put_in_place(schema, used, true, 0);
  return schema.dump();
}

filled_call fill(operation_id id, const argument_list& arguments, const members& said) {
  filled_call out;
  out.call.id = id;
  const auto& of = operation_of(id);
  out.call.path.resize(of.path_fields.size());
  std::vector<std::string> names;
  for (const auto& each : arguments)
    names.emplace_back(each.name);
  json_writer body(out.call.body);
  bool has_body = false;
  for (const auto& [name, json] : said.all()) {
    const argument* known = nullptr;
    if (find_rule(arguments, name, &known) == nullptr) {
      out.mistakes.push_back("there is no argument " + colloquy::quoted(name) + "; " + suggestion(name, names));
      continue;
    }
    switch (known->in) {
    case place::path: {
      const auto index = static_cast<std::size_t>(known->rule - of.path_fields.data());
      out.call.path[index] = parameter_text(json);
      break;
    }
    case place::query:
      if (json != "null")
        out.call.query +=
            (out.call.query.empty() ? "" : "&") + std::string(name) + "=" + percent_encode(parameter_text(json));
      break;
    case place::body:
      if (!std::exchange(has_body, true))
        body.open_object();
      body.raw_member(name, json);
      break;
    case place::header:
      (known->rule == &version_rule ? out.call.version : out.call.idempotency_key) = parameter_text(json);
      break;
    case place::none:
      break;
    }
  }
  const bool needs_body = of.takes != body_kind::none && of.takes != body_kind::maybe;
  if (!has_body && needs_body)
    body.open_object();
  if (has_body || needs_body)
    body.close_object();
  for (const auto& each : arguments)
    if (each.is_required && each.in == place::path && !said.has(each.name))
      out.mistakes.push_back(std::string(each.name) + " is missing; it must be " + allowed_by(*each.rule));
  return out;
}

task<http_reply> run_inner(request& of, inner_call what) {
  auto& at = of.service();
  http_request made;
  made.method = operation_of(what.id).method;
  made.query = what.query;
  made.id = of.http_id;
  made.body = std::move(what.body);
  made.has_body = !made.body.empty();
  if (made.has_body)
    made.headers.content_type = "application/json";
  if (!what.idempotency_key.empty())
    made.headers.idempotency_key = what.idempotency_key;
  if (!what.version.empty())
    made.headers.if_match = what.version;
  if (!of.traceparent.empty())
    made.traceparent = of.traceparent;
  call inner{at, made};
  inner.of = &operation_of(what.id);
  inner.path_parameters = std::move(what.path);
  inner.who = of.who;
  inner.tenant = of.tenant;
  const bool is_counted = of.from == nullptr || of.from->is_counted;
  auto refused = co_await at.admit_inner(inner, !is_counted);
  of.tenant = inner.tenant;
  if (refused)
    co_return std::move(*refused);
  const progress_teller progress(of);
  of.when_cancelled = [&inner] {
    if (const auto tell = std::exchange(inner.when_gone, nullptr))
      tell();
  };
  auto reply = co_await at.run(inner);
  of.when_cancelled = nullptr;
  of.on_undelivered = std::move(reply.on_undelivered);
  co_return reply;
}

answer answer_of(std::string_view json, bool is_untrusted) {
  auto out = text_answer(is_untrusted ? fenced("data that others have written", json) : std::string(json));
  out.members += ",\"structuredContent\":";
  out.members += json;
  return out;
}

answer answer_of(const http_reply& reply, bool is_untrusted, subject about) {
  if (reply.status < 300)
    return answer_of(reply.body.empty() ? std::string_view("{}") : std::string_view(reply.body), is_untrusted);
  return text_answer(explain(reply, about), true);
}

answer mistakes_answer(const std::vector<std::string>& mistakes) {
  std::string text = "invalid_request:";
  for (const auto& each : mistakes)
    text += (mistakes.size() > 1 ? "\n- " : " ") + each;
  return text_answer(text + "\nNext: call again with these put right.", true);
}

answer mistake_answer(std::string mistake) {
  std::vector<std::string> all;
  all.push_back(std::move(mistake));
  return mistakes_answer(all);
}

answer error_answer(const error& why, subject about) {
  return text_answer(explain(make_problem(why, ""), about), true);
}

} // namespace colloquy::gateway::mcp
