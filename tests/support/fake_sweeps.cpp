// What is done to the tables of the model as time passes, and erasing. See fake_tables.hpp.
#include "tests/support/fake_tables.hpp"

#include "db/ownership_queries.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace colloquy::test {

bool fake_tables::apply_sweep(std::string_view name, const db::statement_call& call, db::rows& answer) {
  const auto count = [&](std::int64_t rows) { answer = make_rows({{db::encode_int8(rows)}}, 1); };
  const auto zeros = [&](std::size_t columns_of) {
    answer = make_rows({columns(columns_of, db::encode_int8(0))}, static_cast<int>(columns_of));
  };
  if (name == "find_overdue" || name == "find_expired")
    answer = find_sessions(call, name == "find_expired");
  else if (name == "mark_expired")
    count(mark_expired(call));
  else if (name == "forget_keys")
    count(forget_keys(call));
  else if (name == "forget_processes")
    count(0);
  else if (name == "erase_step")
    answer = erase_step(call);
  else if (name == "forget_participant")
    count(forget_participant(call));
  else if (name == "forget_author")
    count(forget_author(call));
  else if (name == "read_erasures") {
    std::vector<columns> begun;
    for (const auto& [id, row] : erasures)
      begun.push_back({row.tenant, db::encode_uuid(id)});
    begun.resize(std::min(begun.size(), static_cast<std::size_t>(db::decode_int8(*call.parameters[0]))));
    answer = make_rows(begun, 2);
  } else if (name == "find_erasure") {
    const auto at = erasures.find(uuid_of(call.parameters[1]));
    const bool is_begun = at != erasures.end() && at->second.tenant == call.parameters[0];
    answer = make_rows(is_begun ? std::vector<columns>{{call.parameters[1]}} : std::vector<columns>{}, 1);
  } else if (name.starts_with("sum_sessions_")) {
    zeros(4);
  } else if (name.starts_with("sum_turns_")) {
    zeros(8);
  } else if (name.starts_with("turns_over_time_") || name.starts_with("messages_over_time_")) {
    answer = make_rows({}, 2);
  } else {
    return false;
  }
  return true;
}

db::rows fake_tables::find_sessions(const db::statement_call& call, bool is_expired) const {
  const auto time = db::decode_timestamp(*call.parameters[0]);
  const auto& wanted = *call.parameters[1];
  std::multimap<timestamp, columns> found;
  for (const auto& [id, session] : sessions) {
    const auto shard = db::shard_of(session_id{id});
    if (!session.row[expires] || (static_cast<unsigned char>(wanted[shard / 8]) >> shard % 8 & 1) == 0)
      continue;
    const auto due = db::decode_timestamp(*session.row[expires]);
    if (is_expired ? session.status == "expired" && due < time : session.status != "expired" && due <= time)
      found.emplace(due, columns{session.tenant, db::encode_uuid(id)});
  }
  std::vector<columns> out;
  for (auto& [due, row] : found)
    if (out.size() < static_cast<std::size_t>(db::decode_int8(*call.parameters[2])))
      out.push_back(std::move(row));
  return make_rows(out, 2);
}

event_offset fake_tables::last_offset_of(const uuid_bytes& log) const {
  const auto all = whole_log(log);
  return all.empty() ? -1 : all.back()->offset;
}

std::int64_t fake_tables::mark_expired(const db::statement_call& call) {
  const auto process = uuid_of(call.parameters[0]);
  const auto time = db::decode_timestamp(*call.parameters[1]);
  const auto tenants = elements(call.parameters[2]), ids = elements(call.parameters[3]);
  std::int64_t marked = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto* session = find(tenants[i], ids[i]);
    if (!session || session->status == "expired" || !session->row[expires] ||
        db::decode_timestamp(*session->row[expires]) > time ||
        shards[db::shard_of(session_id{uuid_of(ids[i])})] != process)
      continue;
    const auto log = uuid_of(session->row[log_id_at]);
    const auto all = whole_log(log);
    columns rest(author + 1);
    rest[created_at] = db::encode_timestamp(time);
    rest[messages] = all.empty() ? db::encode_int8(0) : *all.back()->rest[messages];
    logs[log].push_back(
        {last_offset_of(log) + 1, "status", R"({"status":"expired"})", std::move(rest), session->tenant});
    session->status = "expired";
    ++marked;
  }
  return marked;
}

std::int64_t fake_tables::forget_keys(const db::statement_call& call) {
  const auto before = db::decode_timestamp(*call.parameters[0]);
  return static_cast<std::int64_t>(
      std::erase_if(keys, [&](const auto& each) { return db::decode_timestamp(*each.second[5]) < before; }));
}

bool fake_tables::is_log_of_session(const uuid_bytes& log) const {
  return std::any_of(sessions.begin(), sessions.end(),
                     [&](const auto& each) { return uuid_of(each.second.row[log_id_at]) == log; });
}

/// Takes away what no fork shows of a log without a session, and of those that it begins in.
std::int64_t fake_tables::erase_events(uuid_bytes log) {
  std::int64_t gone = 0;
  while (!is_log_of_session(log)) {
    event_offset keep = -1;
    for (const auto& [child, link] : links)
      if (link.parent == log)
        keep = std::max(keep, link.offset);
    gone += static_cast<std::int64_t>(std::erase_if(logs[log], [&](const auto& entry) { return entry.offset > keep; }));
    const auto link = links.find(log);
    if (keep >= 0)
      break;
    logs.erase(log);
    if (link == links.end())
      break;
    log = link->second.parent;
    links.erase(link);
  }
  return gone;
}

/// Done in the last of its steps.
db::rows fake_tables::erase_step(const db::statement_call& call) {
  const auto id = uuid_of(call.parameters[1]);
  const auto at = erasures.find(id);
  if (at == erasures.end() || at->second.tenant != *call.parameters[0])
    return make_rows({}, 6);
  const auto row = at->second;
  const auto of = [](std::int64_t value) { return db::encode_int8(value); };
  if (++at->second.steps < erasure_steps)
    return make_rows({{db::encode_bool(false), of(0), of(0), of(0), of(0), of(0)}}, 6);
  erasures.erase(at);
  const auto own_keys = std::erase_if(
      keys, [&](const auto& each) { return std::get<1>(each.first) == id || uuid_of(each.second[4]) == id; });
  const auto events = erase_events(row.log);
  const auto kept = logs.contains(row.log) ? logs.at(row.log).size() : 0;
  return make_rows({{db::encode_bool(true), of(events), of(row.turns), of(static_cast<std::int64_t>(own_keys)),
                     of(row.participants), of(static_cast<std::int64_t>(kept))}},
                   6);
}

std::int64_t fake_tables::forget_participant(const db::statement_call& call) {
  std::int64_t gone = 0;
  for (auto& [id, session] : sessions)
    if (session.tenant == *call.parameters[0])
      gone += static_cast<std::int64_t>(session.participants.erase(*call.parameters[1]));
  return gone;
}

std::int64_t fake_tables::forget_author(const db::statement_call& call) {
  std::int64_t changed = 0;
  for (auto& [id, log] : logs)
    for (auto& entry : log)
      if (entry.tenant == *call.parameters[0] && entry.rest[author] == call.parameters[1]) {
        entry.rest[author].reset();
        ++changed;
      }
  return changed;
}

} // namespace colloquy::test
