#include "gateway/sql_values.hpp"

#include "gateway/problem.hpp"
#include "messages/content.hpp"
#include "messages/json_scan.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

/// The one scalar that a text is.
class scalar_reader : public json_listener {
public:
  bool on_key(int, std::string_view) override { return true; }
  bool on_open(int, json_kind) override { return true; }
  bool on_close(int) override { return true; }
  bool on_scalar(int, const json_scalar& value) override {
    if (value.kind == json_kind::string)
      text = std::string(value.string);
    return true;
  }

  std::string text{};
};

result<sql_parameter> read_parameter(std::string_view json) {
  using kind = sql_parameter::kind;
  switch (json.empty() ? 'n' : json.front()) {
  case 'n':
    return sql_parameter{kind::null};
  case 't':
  case 'f':
    return sql_parameter{kind::boolean, std::string(json)};
  case '"': {
    scalar_reader reader;
    if (auto scanned = scan_json(json, limits::json_depth_max, &reader); !scanned)
      return scanned.failure();
    return sql_parameter{kind::text, std::move(reader.text)};
  }
  case '[':
  case '{':
    return sql_parameter{kind::json, std::string(json)};
  default:
    return sql_parameter{kind::number, std::string(json)};
  }
}

/// What the server writes of a number is JSON, unless it is none: NaN, Infinity.
bool is_json_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e';
  });
}

void write_notices(json_writer& to, const std::vector<sql_notice>& notices) {
  to.key("notices").open_array();
  for (const auto& notice : notices)
    to.open_object()
        .member("severity", notice.severity)
        .member("sqlstate", notice.sqlstate)
        .member("message", notice.message)
        .close_object();
  to.close_array();
}

void write_state(json_writer& to, const sql_outcome& outcome) {
  to.member("transaction_status", to_string(outcome.transaction_status)).key("pinned").open_object();
  to.member("is_pinned", !outcome.pinned.empty()).member_or_null("reason", outcome.pinned).close_object();
  write_notices(to, outcome.notices);
}

} // namespace

result<std::vector<sql_parameter>> read_sql_parameters(std::string_view json) {
  auto elements = split_array(json);
  if (!elements)
    return error{error_code::invalid_request, "params must be an array: of null, booleans, numbers, strings, and of "
                                              "arrays and objects, which are JSON"};
  if (elements->size() > limits::sql_parameters_max)
    return error{error_code::invalid_request, "params has " + std::to_string(elements->size()) + " values; " +
                                                  std::to_string(limits::sql_parameters_max) + " are allowed"};
  std::vector<sql_parameter> parameters;
  for (const auto element : *elements) {
    auto parameter = read_parameter(element);
    if (!parameter)
      return parameter.failure();
    parameters.push_back(std::move(*parameter));
  }
  return parameters;
}

void write_sql_value(json_writer& to, const std::optional<std::string>& value, sql_value_kind kind) {
  if (!value)
    to.null();
  else if (kind == sql_value_kind::number && is_json_number(*value))
    to.raw(*value);
  else if (kind == sql_value_kind::boolean)
    to.value(*value == "t");
  else if (kind == sql_value_kind::json && check_json(*value))
    to.raw(*value);
  else
    to.value(*value);
}

void write_sql_outcome(json_writer& to, const sql_outcome& outcome) {
  to.open_object().key("columns").open_array();
  for (const auto& column : outcome.columns)
    to.open_object().member("name", column.name).member("type", column.type).close_object();
  to.close_array().key("rows").open_array();
  for (const auto& row : outcome.rows) {
    to.open_array();
    for (std::size_t i = 0; i < row.size(); ++i)
      write_sql_value(to, row[i], i < outcome.columns.size() ? outcome.columns[i].kind : sql_value_kind::text);
    to.close_array();
  }
  to.close_array()
      .member("row_count", outcome.row_count)
      .member_or_null("command", outcome.command)
      .member("truncated", outcome.truncated)
      .member_or_null("cursor", outcome.cursor);
  write_state(to, outcome);
  to.close_object();
}

error_code code_of(const sql_refusal& refused) {
  const auto& state = refused.sqlstate;
  if (refused.was_cancelled)
    return error_code::deadline_exceeded;
  if (refused.ended_the_session)
    return error_code::session_expired;
  if (state == "42501" || state == "25006")
    return error_code::forbidden;
  if (state.starts_with("23") || state.starts_with("40"))
    return error_code::conflict;
  return error_code::invalid_request;
}

http_reply make_sql_problem(const sql_outcome& outcome, const std::string& request_id) {
  const auto& refused = *outcome.refused;
  const auto code = code_of(refused);
  http_reply reply;
  reply.status = status_of(code);
  reply.content_type = "application/problem+json";
  reply.code = to_string(code);
  json_writer to(reply.body);
  to.open_object()
      .member("type", "about:blank")
      .member("status", reply.status)
      .member("title", title_of(reply.status))
      .member("detail", refused.message)
      .member("code", to_string(code))
      .member("request_id", request_id)
      .member("sqlstate", refused.sqlstate);
  if (!refused.detail.empty())
    to.member("sql_detail", refused.detail);
  if (!refused.hint.empty())
    to.member("hint", refused.hint);
  if (refused.position > 0)
    to.member("position", refused.position);
  write_state(to, outcome);
  to.close_object();
  return reply;
}

result<database_session_owner> database_owner_of(const principal& who) {
  if (who.as_user)
    return error{error_code::forbidden, "a database session sees what belongs to all of the tenant's users, and is not "
                                        "for a key or token of one user alone"};
  switch (who.kind) {
  case principal_kind::key:
    return database_session_owner{who.tenant, "key:" + who.key.to_string()};
  case principal_kind::token:
    if (!who.token_sha256.empty()) // nobody knows whether another one without a subject is the same caller's
      return database_session_owner{who.tenant, "token-sha256:" + who.token_sha256};
    return database_session_owner{who.tenant, "token:" + who.name};
  case principal_kind::local:
    return database_session_owner{who.tenant, "local:" + who.name}; // each program has a name of its own
  case principal_kind::nobody:
  case principal_kind::operator_:
    break;
  }
  return error{error_code::forbidden, "database sessions are for tenants' keys and tokens"};
}

} // namespace colloquy::gateway
