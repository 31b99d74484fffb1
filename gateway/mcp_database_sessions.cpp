#include "gateway/mcp_database_sessions.hpp"

#include "gateway/edge.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/sql_values.hpp"

namespace colloquy::gateway::mcp {
namespace {

void write_table(json_writer& to, const schema_table& table) {
  to.open_object()
      .member("schema", table.schema)
      .member("name", table.name)
      .member("kind", table.kind)
      .member("is_writable", table.is_writable);
  if (!table.comment.empty())
    to.member("comment", table.comment);
  to.key("columns").open_array();
  for (const auto& column : table.columns) {
    to.open_object().member("name", column.name).member("type", column.type).member("is_nullable", column.is_nullable);
    if (!column.default_value.empty())
      to.member("default", column.default_value);
    if (!column.comment.empty())
      to.member("comment", column.comment);
    to.close_object();
  }
  to.close_array().key("keys").open_array();
  for (const auto& key : table.keys)
    to.value(key.name + ": " + key.definition);
  to.close_array().close_object();
}

} // namespace

void close_database_sessions(edge& service, peer& whose) {
  const auto owner = database_owner_of(whose.who);
  if (owner && service.handles().database_sessions)
    for (const auto& id : whose.database_sessions)
      service.asks().tell(service.handles().database_sessions, close_database_session{*owner, id});
  whose.database_sessions.clear();
}

task<result<std::string>> describe_schema(request& of, database_access access) {
  auto& at = of.service();
  if (!at.handles().directory)
    co_return error{error_code::database_unavailable, "the service is starting"};
  if (!at.handles().database_sessions)
    co_return error{error_code::forbidden, "there are no database sessions here"};
  const auto owner = database_owner_of(of.who);
  if (!owner)
    co_return owner.failure();
  describe_database wanted{*owner, access};
  const auto seen = co_await at.ask(at.handles().database_sessions, std::move(wanted));
  if (!seen)
    co_return seen.failure();
  std::string out;
  json_writer to(out);
  to.open_object().key("tables").open_array();
  for (const auto& each : seen->tables)
    write_table(to, each);
  to.close_array().member("truncated", seen->truncated).close_object();
  co_return out;
}

} // namespace colloquy::gateway::mcp
