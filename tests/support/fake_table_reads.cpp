// What is read of the tables of the model. See fake_tables.hpp.
#include "tests/support/fake_tables.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace colloquy::test {

fake_tables::session_row* fake_tables::find(const column& tenant, const column& id) {
  const auto at = sessions.find(uuid_of(id));
  return at == sessions.end() || at->second.tenant != *tenant ? nullptr : &at->second;
}

bool fake_tables::is_hidden(const stored_event& entry) const {
  return rolled_back.contains(uuid_of(entry.rest[of_turn]));
}

bool fake_tables::apply_read(std::string_view name, const db::statement_call& call, db::rows& answer) {
  constexpr std::string_view list = "list_sessions_";
  if (name == "read_session")
    answer = read_session(call);
  else if (name == "read_log_up" || name == "read_log_down")
    answer = read_log(call, name == "read_log_down");
  else if (name == "read_fork")
    answer = read_log(call, db::decode_bool(*call.parameters[7]));
  else if (name == "read_view")
    answer = read_view(call);
  else if (name == "read_turns" || name == "read_turn")
    answer = read_turns(call, name == "read_turn");
  else if (name == "find_stored_events")
    answer = find_stored_events(call);
  else if (name == "find_key")
    answer = find_key(call);
  else if (name == "read_keys")
    answer = read_keys(call);
  else if (name == "find_fork_point")
    answer = find_fork_point(call);
  else if (name == "count_hidden" || name == "count_hidden_in_view")
    answer = count_hidden(call, name == "count_hidden_in_view");
  else if (name == "find_session") {
    const auto at = external_ids.find({*call.parameters[0], *call.parameters[1]});
    answer = at == external_ids.end() ? make_rows({}, 1) : make_rows({{db::encode_uuid(at->second)}}, 1);
  } else if (name.starts_with(list)) {
    answer = list_sessions(call, std::stoi(std::string(name.substr(list.size()))));
  } else {
    return false;
  }
  return true;
}

std::vector<const stored_event*> fake_tables::whole_log(const uuid_bytes& log) const {
  std::vector<const stored_event*> all;
  auto below = std::numeric_limits<event_offset>::max();
  for (auto at = log;;) {
    if (const auto own = logs.find(at); own != logs.end())
      for (const auto& entry : own->second)
        if (entry.offset < below)
          all.push_back(&entry);
    const auto link = links.find(at);
    if (link == links.end())
      break;
    below = std::min(below, link->second.offset + 1);
    at = link->second.parent;
  }
  std::sort(all.begin(), all.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  return all;
}

columns fake_tables::record_columns(const session_row& session) const {
  const auto all = whole_log(uuid_of(session.row[log_id_at]));
  const auto& from = session.row;
  return {from[log_id_at],
          from[user],
          from[agent],
          from[external],
          from[title],
          session.status,
          from[created],
          from[created],
          from[expires],
          from[lives],
          db::encode_int8(session.turn_count),
          db::encode_int8(session.total_tokens),
          session.version,
          from[metadata],
          from[parent],
          from[fork_offset],
          db::encode_int8(all.empty() ? -1 : all.back()->offset),
          session.described[0] ? session.described[0] : db::array_builder(db::oids::text, 0, 0).finish(),
          session.described[1].value_or("auto"),
          session.described[2].value_or("{}")};
}

db::rows fake_tables::read_session(const db::statement_call& call) {
  auto* session = find(call.parameters[0], call.parameters[1]);
  if (!session)
    return make_rows({}, 37);
  const auto all = whole_log(uuid_of(session->row[log_id_at]));
  const auto count_of = all.empty() ? 0 : db::decode_int8(*all.back()->rest[messages]);
  db::array_builder users(db::oids::text, 0, 0), roles(db::oids::text, 0, 0);
  for (const auto& [id, as] : session->participants) {
    users.add(id);
    roles.add(as);
  }
  auto row = record_columns(*session);
  row.push_back(db::encode_int8(count_of));
  row.push_back(std::move(users).finish());
  row.push_back(std::move(roles).finish());
  row.push_back(db::encode_bool(deleted_events.contains(uuid_of(call.parameters[1]))));
  if (session->turns.empty()) {
    row.push_back(db::encode_bool(false));
    row.resize(37);
    return make_rows({row}, 37);
  }
  const auto& turns_row = session->turns.rbegin()->second.row;
  const auto granter = processes.find(uuid_of(turns_row[process]));
  row.push_back(db::encode_bool(granter != processes.end() && granter->second.has_ended));
  for (const auto each : {number, turn, state, trace, started, ended, lease, input, output, process, first, count})
    row.push_back(turns_row[each]);
  return make_rows({row}, 37);
}

db::rows fake_tables::read_log(const db::statement_call& call, bool newest_first) const {
  const auto after = db::decode_int8(*call.parameters[2]), before = db::decode_int8(*call.parameters[3]);
  const auto limit = static_cast<std::size_t>(db::decode_int8(*call.parameters[4]));
  const auto bytes_max = static_cast<std::size_t>(db::decode_int8(*call.parameters[5]));
  const bool only_messages = db::decode_bool(*call.parameters[6]);
  auto all = whole_log(uuid_of(call.parameters[1]));
  if (newest_first)
    std::reverse(all.begin(), all.end());
  std::vector<columns> out;
  std::size_t bytes = 0;
  for (const auto* entry : all) {
    if (entry->offset <= after || entry->offset >= before || (only_messages && entry->kind != "message") ||
        is_hidden(*entry))
      continue;
    if (out.size() >= limit || bytes >= bytes_max)
      break;
    bytes += entry->data.size();
    const auto& rest = entry->rest;
    out.push_back({db::encode_int8(entry->offset), rest[created_at], entry->kind, rest[role], rest[of_turn],
                   rest[tokens], rest[call_id], rest[call_ids], rest[source], rest[trace_id], entry->data,
                   rest[messages], rest[author]});
  }
  return make_rows(out, 13);
}

db::rows fake_tables::read_turns(const db::statement_call& call, bool by_id) {
  std::vector<columns> out;
  auto* session = find(call.parameters[0], call.parameters[1]);
  if (!session)
    return make_rows({}, 12);
  const auto before = by_id ? 0 : db::decode_int8(*call.parameters[2]);
  const auto limit = by_id ? 1 : static_cast<std::size_t>(db::decode_int8(*call.parameters[3]));
  for (auto at = session->turns.rbegin(); at != session->turns.rend() && out.size() < limit; ++at) {
    const auto& from = at->second.row;
    if (by_id ? from[turn] != call.parameters[2] : at->first >= before)
      continue;
    columns row;
    for (const auto each : {number, turn, state, trace, started, ended, lease, input, output, process, first, count})
      row.push_back(from[each]);
    out.push_back(std::move(row));
  }
  return make_rows(out, 12);
}

db::rows fake_tables::find_stored_events(const db::statement_call& call) const {
  const auto log = logs.find(uuid_of(call.parameters[1]));
  const auto offsets = elements(call.parameters[2]), times = elements(call.parameters[3]),
             turns = elements(call.parameters[4]), data = elements(call.parameters[5]);
  std::vector<columns> found;
  for (std::size_t i = 0; i < offsets.size() && log != logs.end(); ++i) {
    const column turn = i < turns.size() ? turns[i] : std::nullopt;
    for (const auto& entry : log->second)
      if (entry.tenant == call.parameters[0] && entry.offset == db::decode_int8(*offsets[i]) &&
          entry.rest[created_at] == times[i] && uuid_of(entry.rest[of_turn]) == uuid_of(turn) && entry.data == data[i])
        found.push_back({db::encode_int8(static_cast<std::int64_t>(i) + 1)});
  }
  return make_rows(found, 1);
}

db::rows fake_tables::find_key(const db::statement_call& call) const {
  const auto& p = call.parameters;
  const auto at = keys.find({*p[0], uuid_of(p[1]), *p[2], *p[3]});
  if (at == keys.end())
    return make_rows({}, 9);
  const auto& key = at->second;
  const auto reply = sessions.contains(uuid_of(key[4])) ? key[6] : std::nullopt;
  return make_rows({{p[2], p[3], key[0], key[1], key[2], key[3], key[4], key[5], reply}}, 9);
}

db::rows fake_tables::read_keys(const db::statement_call& call) const {
  std::vector<columns> out;
  const auto limit = static_cast<std::size_t>(db::decode_int8(*call.parameters[3]));
  for (const auto& [place, key] : keys)
    if (std::get<0>(place) == *call.parameters[0] && std::get<1>(place) == uuid_of(call.parameters[1]) &&
        db::decode_timestamp(*key[5]) > db::decode_timestamp(*call.parameters[2]) && out.size() < limit)
      out.push_back({std::get<2>(place), std::get<3>(place)});
  return make_rows(out, 2);
}

db::rows fake_tables::find_fork_point(const db::statement_call& call) const {
  const auto offset = db::decode_int8(*call.parameters[2]);
  auto at = uuid_of(call.parameters[1]);
  for (auto link = links.find(at); link != links.end() && offset <= link->second.offset; link = links.find(at))
    at = link->second.parent;
  if (const auto own = logs.find(at); own != logs.end())
    for (const auto& entry : own->second)
      if (entry.offset == offset)
        return make_rows({{db::encode_uuid(at), db::encode_int8(offset), entry.rest[messages]}}, 3);
  return make_rows({}, 3);
}

bool fake_tables::is_deleted(const column& session, event_offset offset) const {
  const auto found = deleted_events.find(uuid_of(session));
  return found != deleted_events.end() && std::any_of(found->second.begin(), found->second.end(),
                                                      [&](const event_range& range) { return range.has(offset); });
}

/// Parameters behind those of read_log: session, newest first, with deleted ones, kinds, source, trace.
db::rows fake_tables::read_view(const db::statement_call& call) const {
  const auto& p = call.parameters;
  const auto after = db::decode_int8(*p[2]), before = db::decode_int8(*p[3]);
  const auto limit = static_cast<std::size_t>(db::decode_int8(*p[4]));
  const auto bytes_max = static_cast<std::size_t>(db::decode_int8(*p[5]));
  const auto kinds = elements(p[10]);
  auto all = whole_log(uuid_of(p[1]));
  if (db::decode_bool(*p[8]))
    std::reverse(all.begin(), all.end());
  std::vector<columns> out;
  std::size_t bytes = 0;
  for (const auto* entry : all) {
    const auto& rest = entry->rest;
    const bool is_gone = is_deleted(p[7], entry->offset);
    if (entry->offset <= after || entry->offset >= before || (db::decode_bool(*p[6]) && entry->kind != "message") ||
        is_hidden(*entry) || (is_gone && !db::decode_bool(*p[9])) ||
        (!kinds.empty() && std::find(kinds.begin(), kinds.end(), entry->kind) == kinds.end()) ||
        (p[11] && rest[source] != p[11]) || (p[12] && rest[trace_id] != p[12]))
      continue;
    if (out.size() >= limit || bytes >= bytes_max)
      break;
    bytes += entry->data.size();
    out.push_back({db::encode_int8(entry->offset), rest[created_at], entry->kind, rest[role], rest[of_turn],
                   rest[tokens], rest[call_id], rest[call_ids], rest[source], rest[trace_id], entry->data,
                   rest[messages], rest[author], db::encode_bool(is_gone)});
  }
  return make_rows(out, 14);
}

db::rows fake_tables::count_hidden(const db::statement_call& call, bool in_view) const {
  std::int64_t hidden = 0;
  for (const auto* entry : whole_log(uuid_of(call.parameters[1])))
    hidden += entry->offset <= db::decode_int8(*call.parameters[2]) && entry->kind == "message" &&
              (is_hidden(*entry) || (in_view && is_deleted(call.parameters[3], entry->offset)));
  return make_rows({{db::encode_int8(hidden)}}, 1);
}

/// Parameters: tenant, user, agent, status, now, the cursor's time and id, limit, in whose name, a label, all labels.
/// The variant tells which count.
db::rows fake_tables::list_sessions(const db::statement_call& call, int variant) const {
  const auto& p = call.parameters;
  const auto time = db::decode_timestamp(*p[4]);
  const auto labels = elements(p[10]);
  const auto cursor = std::make_pair(db::decode_timestamp(*p[5]), db::decode_uuid(*p[6]));
  std::map<std::pair<timestamp, uuid_bytes>, columns> found;
  for (const auto& [id, session] : sessions) {
    const auto place = std::make_pair(db::decode_timestamp(*session.row[created]), id);
    const bool is_expired =
        session.status == "expired" || (session.row[expires] && db::decode_timestamp(*session.row[expires]) <= time);
    const int of_status = variant / 4 % 3;
    const auto has = session.described[0] ? elements(session.described[0]) : columns{};
    const bool has_labels = variant < 24 || std::all_of(labels.begin(), labels.end(), [&](const column& label) {
                              return std::find(has.begin(), has.end(), label) != has.end();
                            });
    const bool is_theirs = variant / 12 % 2 == 0 || session.row[user] == p[8] || session.participants.contains(*p[8]);
    if (!is_theirs || !has_labels || session.tenant != *p[0] || place >= cursor ||
        (variant % 2 != 0 && session.row[user] != p[1]) || (variant / 2 % 2 != 0 && session.row[agent] != p[2]) ||
        (of_status == 1 && (is_expired || session.status != p[3])) || (of_status == 2 && !is_expired))
      continue;
    auto row = record_columns(session);
    row.insert(row.begin(), db::encode_uuid(id));
    found.emplace(place, std::move(row));
  }
  std::vector<columns> out;
  for (auto at = found.rbegin(); at != found.rend() && out.size() < static_cast<std::size_t>(db::decode_int8(*p[7]));
       ++at)
    out.push_back(at->second);
  return make_rows(out, 21);
}

} // namespace colloquy::test
