#include "gateway/openapi.hpp"

#include "gateway/openapi_schema.hpp"
#include "gateway/operations.hpp"
#include "gateway/problem.hpp"
#include "gateway/service_version.hpp"
#include "gateway/shapes.hpp"
#include "messages/version.hpp"

#include <map>
#include <vector>

namespace colloquy::gateway {
namespace {

constexpr std::pair<std::string_view, std::string_view> tags[] = {
    {"Sessions", "Conversations and their life."},
    {"Log", "What is said in a session: an ordered log of events."},
    {"Turns", "Runs of the agent in a session; at most one runs at a time."},
    {"Tenants", "Customers of the host, and what each may have."},
    {"Keys", "API keys of tenants."},
    {"Audit", "Who did what to which thing when."},
    {"Data", "Taking data out, putting it in, erasing it."},
    {"Documents", "Collections of JSON documents, and stores of one version."},
    {"Customers", "Those whom agents talk to."},
    {"Context variables", "What an agent is told about whom it talks to."},
    {"Database sessions", "A PostgreSQL session of the tenant whose state survives between calls."},
    {"MCP", "The Model Context Protocol over Streamable HTTP."},
    {"Service", "Looking after the service."},
};

/// Every call that is not open may end with these.
constexpr error_code everywhere[] = {
    error_code::invalid_request,      error_code::unauthenticated,  error_code::forbidden,
    error_code::quota_exceeded,       error_code::internal,         error_code::overloaded,
    error_code::database_unavailable, error_code::deadline_exceeded};

std::string needed(access needs) {
  switch (needs) {
  case access::open:
    return "Needs no key.";
  case access::read:
    return "Needs a key or token with scope read.";
  case access::write:
    return "Needs a key or token with scope write.";
  case access::admin:
    return "Needs a key or token with scope admin, or the admin key where the tenant is in the path.";
  case access::member:
    return "Needs a key or token of a tenant.";
  case access::operate:
    break;
  }
  return "Needs the admin key.";
}

class document {
public:
  ordered_json make() {
    ordered_json doc{
        {"openapi", "3.1.0"},
        {"info",
         {{"title", "Colloquy"},
          {"version", version},
          {"summary", "Keeps the conversations of AI agents."},
          {"description", "Every conversation is a session with an ordered, durable log, in which one turn runs at a "
                          "time. Times are RFC 3339 in UTC with microseconds; ids are UUIDv7. Errors are RFC 9457 with "
                          "a stable code."},
          {"contact", {{"name", "Whoever runs this service"}}},
          {"license", {{"name", "Proprietary"}, {"identifier", "LicenseRef-Proprietary"}}}}},
        {"servers", {{{"url", "http://127.0.0.1:8080"}, {"description", "As started without settings."}}}}};
    doc["tags"] = ordered_json::array();
    for (const auto& [name, about] : tags)
      doc["tags"].push_back({{"name", name}, {"description", about}});
    doc["paths"] = ordered_json::object();
    for (const auto& each : operations())
      add(doc["paths"], each);
    doc["components"] = components();
    return doc;
  }

private:
  void add(ordered_json& paths, const operation& of) {
    std::string method(of.method);
    for (auto& c : method)
      c = static_cast<char>(c | 0x20);
    ordered_json call{{"operationId", of.name},
                      {"tags", {of.tag}},
                      {"summary", of.summary},
                      {"description", std::string(of.about) + (of.about.empty() ? "" : " ") + needed(of.needs)}};
    if (auto parameters = parameters_of(of); !parameters.empty())
      call["parameters"] = std::move(parameters);
    if (of.takes != body_kind::none &&
        (of.body != nullptr || of.takes == body_kind::ndjson || of.takes == body_kind::rpc))
      call["requestBody"] = body_of(of);
    call["responses"] = responses_of(of);
    call["security"] =
        of.needs == access::open ? ordered_json::array() : ordered_json::array({{{"bearer", ordered_json::array()}}});
    paths[std::string(of.path)][method] = std::move(call);
  }

  ordered_json parameters_of(const operation& of) {
    auto all = ordered_json::array();
    const auto add_fields = [&](std::span<const field_rule> fields, const char* in) {
      for (const auto& field : fields) {
        auto schema = schema_of(field, used_);
        schema.erase("description");
        ordered_json parameter{{"name", field.name},
                               {"in", in},
                               {"description", field.about},
                               {"required", field.is_required},
                               {"schema", std::move(schema)}};
        if (field.kind == field_kind::word_list) {
          parameter["style"] = "form";
          parameter["explode"] = false;
        }
        if (!field.example.empty())
          parameter["example"] = ordered_json::parse(field.example);
        all.push_back(std::move(parameter));
      }
    };
    add_fields(of.path_fields, "path");
    add_fields(of.query_fields, "query");
    const auto add_header = [&](const char* name, const char* about, ordered_json schema) {
      all.push_back({{"name", name},
                     {"in", "header"},
                     {"description", about},
                     {"required", false},
                     {"schema", std::move(schema)}});
    };
    if (of.traits.is_repeatable)
      add_header("Idempotency-Key", "The first reply under this key is given again, for 24 hours at least.",
                 {{"type", "string"}, {"minLength", 1}, {"maxLength", 255}});
    if (of.traits.has_version)
      add_header("If-Match", "Only if this is the session's version.", {{"type", "string"}});
    if (of.traits.may_stream)
      add_header("Last-Event-ID", "As `after`.", {{"type", "string"}});
    return all;
  }

  ordered_json body_of(const operation& of) {
    ordered_json body{{"required", of.takes != body_kind::maybe}};
    if (of.takes == body_kind::ndjson) {
      body["description"] = "As an export gave it.";
      body["content"]["application/x-ndjson"] = {{"schema", {{"type", "string"}}}};
      return body;
    }
    if (of.takes == body_kind::rpc) {
      body["description"] = "A message of JSON-RPC 2.0.";
      body["content"]["application/json"] = {{"schema", {{"type", "object"}, {"additionalProperties", true}}},
                                             {"example", {{"jsonrpc", "2.0"}, {"id", 1}, {"method", "ping"}}}};
      return body;
    }
    ordered_json schema, example;
    if (of.takes == body_kind::messages || of.takes == body_kind::documents) {
      const auto& one = of.takes == body_kind::messages ? message_shape : shapes::document;
      schema = {{"oneOf", {reference_to(one, used_), reference_to(*of.body, used_)}}};
      example = example_of(one);
    } else {
      schema = reference_to(*of.body, used_);
      example = example_of(*of.body);
    }
    body["content"]["application/json"] = {{"schema", std::move(schema)}, {"example", std::move(example)}};
    return body;
  }

  ordered_json success_of(const operation& of) {
    if (of.traits.answers_text) {
      const auto* type = of.id == operation_id::get_metrics ? "text/plain" : "application/x-ndjson";
      return {{"description", "Lines of text."}, {"content", {{type, {{"schema", {{"type", "string"}}}}}}}};
    }
    if (of.takes == body_kind::rpc || of.id == operation_id::get_mcp) {
      ordered_json content{{"text/event-stream", {{"schema", {{"type", "string"}}}}}};
      if (of.takes == body_kind::rpc)
        content["application/json"] = {{"schema", {{"type", "object"}, {"additionalProperties", true}}}};
      return {{"description", "A message of JSON-RPC 2.0, or server-sent events that are each one."},
              {"content", std::move(content)}};
    }
    if (of.reply == nullptr && of.id == operation_id::get_openapi)
      return {{"description", "OpenAPI 3.1."}, {"content", {{"application/json", {{"schema", {{"type", "object"}}}}}}}};
    if (of.reply == nullptr)
      return {{"description", "Done."}};
    ordered_json content{
        {"application/json", {{"schema", reference_to(*of.reply, used_)}, {"example", example_of(*of.reply)}}}};
    if (of.traits.may_stream)
      content["text/event-stream"] = {{"schema", {{"type", "string"}}}};
    return {{"description", of.reply->about}, {"content", std::move(content)}};
  }

  ordered_json responses_of(const operation& of) {
    auto responses = ordered_json::object();
    responses[std::to_string(of.success)] = success_of(of);
    if (of.other_success != 0)
      responses[std::to_string(of.other_success)] =
          of.traits.is_mcp ? ordered_json{{"description", "Taken; there is nothing to answer"}} : success_of(of);
    std::map<unsigned, std::vector<error_code>> by_status;
    if (of.needs != access::open)
      for (const auto code : everywhere)
        by_status[status_of(code)].push_back(code);
    for (const auto code : of.errors)
      if (auto& codes = by_status[status_of(code)]; std::find(codes.begin(), codes.end(), code) == codes.end())
        codes.push_back(code);
    // A body or header that is too large, or a query that is wrong, is told by any.
    by_status.try_emplace(400, std::vector{error_code::invalid_request});
    for (const auto& [status, codes] : by_status)
      responses[std::to_string(status)] =
          of.id == operation_id::get_readiness && status == 503 ? not_ready() : problem_of(status, codes);
    return responses;
  }

  ordered_json not_ready() {
    return {{"description", "Not ready, and why."},
            {"content",
             {{"application/json",
               {{"schema", reference_to(shapes::readiness, used_)},
                {"example", {{"status", "not_ready"}, {"reason", "the service is starting"}}}}}}}};
  }

  ordered_json problem_of(unsigned status, const std::vector<error_code>& codes) {
    std::string names;
    for (const auto code : codes)
      names += (names.empty() ? "`" : ", `") + std::string(to_string(code)) + "`";
    ordered_json example{{"type", "about:blank"},
                         {"status", status},
                         {"title", title_of(status)},
                         {"detail", "What happened, and what is allowed."},
                         {"code", to_string(codes.front())},
                         {"request_id", "01890a5d-ac96-774b-bcce-b302099a8057"}};
    ordered_json response{{"description", names + "."},
                          {"content",
                           {{"application/problem+json",
                             {{"schema", reference_to(shapes::problem, used_)}, {"example", std::move(example)}}}}}};
    if (status == 429 || status == 503)
      response["headers"]["Retry-After"] = {{"description", "Seconds."}, {"schema", {{"type", "integer"}}}};
    return response;
  }

  ordered_json components() {
    ordered_json schemas = ordered_json::object();
    // Naming one may bring others.
    for (std::size_t done = 0; done < used_.size();) {
      done = used_.size();
      const auto now = used_;
      for (const auto& [name, shape] : now)
        schemas[name] = schema_of(*shape, used_);
    }
    return {{"schemas", std::move(schemas)},
            {"securitySchemes",
             {{"bearer",
               {{"type", "http"},
                {"scheme", "bearer"},
                {"description", "An API key, a JSON Web Token, or the admin key."}}}}}};
  }

  shape_set used_;
};

} // namespace

const std::string& openapi_document() {
  static const std::string text = document().make().dump(1);
  return text;
}

} // namespace colloquy::gateway
