#include "db/pool_queries.hpp"

#include <algorithm>

namespace colloquy::db {
namespace {

// As the role that logged in: the server tells a role the state of its own sessions only, and ours are its.
constexpr statement as_login{"as_login", "SELECT set_config('role', 'none', true)", {}};

constexpr oid server_view_types[] = {oids::text};
constexpr statement server_view_statement{
    "server_view",
    "SELECT coalesce(state, 'unknown'), count(*),"
    " coalesce(max(extract(epoch FROM clock_timestamp() - state_change)) * 1000, 0)::bigint,"
    " coalesce(max(extract(epoch FROM clock_timestamp() - backend_start)) * 1000, 0)::bigint"
    " FROM pg_stat_activity WHERE datname = current_database()"
    " AND (application_name = $1 OR starts_with(application_name, $1 || ' ')) GROUP BY 1 ORDER BY 1",
    server_view_types};

} // namespace

unit read_server_view(const std::string& application) {
  return {{{&as_login, {}}, {&server_view_statement, {application}}}};
}

server_view decode_server_view(const unit_outcome& outcome) {
  server_view view;
  if (outcome.failure || outcome.results.empty())
    return view;
  const auto& found = outcome.results.back();
  for (int row = 0; row < found.count(); ++row) {
    server_view::of_state state{std::string(found.get(row, 0)), decode_int8(found.get(row, 1)),
                                std::chrono::milliseconds{decode_int8(found.get(row, 2))}};
    view.total += state.count;
    if (state.state == "active")
      view.active += state.count;
    else if (state.state == "idle")
      view.idle += state.count;
    else if (state.state.starts_with("idle in transaction"))
      view.idle_in_transaction += state.count;
    view.oldest = std::max(view.oldest, std::chrono::milliseconds{decode_int8(found.get(row, 3))});
    view.states.push_back(std::move(state));
  }
  return view;
}

} // namespace colloquy::db
