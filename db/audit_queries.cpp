#include "db/audit_queries.hpp"

#include "db/page_place.hpp"
#include "db/row_reader.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace colloquy::db {
namespace {

constexpr oid set_tenants_types[] = {oids::text};
constexpr statement set_tenants{"set_several_tenants", "SELECT set_config('colloquy.tenants', $1, true)",
                                set_tenants_types};

constexpr oid insert_types[] = {oids::text_array, oids::timestamptz_array, oids::uuid_array, oids::text_array,
                                oids::text_array, oids::text_array,        oids::text_array, oids::text_array};
constexpr statement insert_statement{"insert_audit",
                                     COLLOQUY_INSERT_AUDIT " SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)"
                                                           " ON CONFLICT DO NOTHING",
                                     insert_types};

// ---- reading: a statement for each set of filters, each by the index that fits

constexpr oid read_types[] = {oids::text, oids::timestamptz, oids::uuid, oids::timestamptz,
                              oids::text, oids::text,        oids::text, oids::int8};
constexpr std::size_t variants = 8;

std::string sql_of(std::size_t variant) {
  return std::string("SELECT a.id, a.at, a.actor, a.request_id, a.action, a.target_kind, a.target FROM audit_log AS a"
                     " WHERE a.tenant_id = $1 AND (a.at, a.id) < ($2, $3) AND a.at >= $4") +
         ((variant & 1) != 0 ? " AND a.actor = $5" : "") + ((variant & 2) != 0 ? " AND a.action = $6" : "") +
         ((variant & 4) != 0 ? " AND a.target = $7" : "") +
         " AND (($5::text, $6::text, $7::text) IS NOT NULL OR true) ORDER BY a.at DESC, a.id DESC LIMIT $8";
}

struct read_statements {
  std::array<std::string, variants> names;
  std::array<std::string, variants> texts;
  std::array<statement, variants> all;

  read_statements() {
    for (std::size_t i = 0; i < variants; ++i) {
      names[i] = "read_audit_" + std::to_string(i);
      texts[i] = sql_of(i);
      all[i] = {names[i].c_str(), texts[i].c_str(), read_types};
    }
  }
  read_statements(const read_statements&) = delete;
};

const statement& statement_for(const read_audit& wanted) {
  static const read_statements statements;
  return statements.all[(wanted.actor ? 1u : 0u) + (wanted.action ? 2u : 0u) + (wanted.target ? 4u : 0u)];
}

timestamp within_time(timestamp at) {
  return std::clamp(at, timestamp{}, end_of_time);
}

} // namespace

// The service as a whole has the empty name, which string_to_array() finds beside a comma only; no other unit sets it.
statement_call tenants_call(const std::set<std::string>& tenants) {
  std::string all;
  for (const auto& each : tenants)
    all += each + ",";
  if (!tenants.contains(""))
    all.pop_back();
  return {&set_tenants, {std::move(all)}};
}

void add_audit_parameters(statement_call& to, const audit_entry& entry) {
  to.parameters.insert(to.parameters.end(), {encode_timestamp(entry.at), encode_uuid(entry.id.bytes), entry.by.name,
                                             entry.by.request_id, entry.action, entry.target_kind, entry.target});
}

unit insert_audit(std::span<const audit_entry> entries) {
  const auto count = entries.size();
  array_builder ids(oids::uuid, count, count * 16), times(oids::timestamptz, count, count * 8);
  std::vector<array_builder> texts(6, array_builder(oids::text, count, count * 24));
  std::set<std::string> tenants;
  for (const auto& each : entries) {
    tenants.insert(each.tenant.text());
    times.add_timestamp(each.at);
    ids.add_uuid(each.id.bytes);
    const std::string* values[] = {&each.tenant.text(), &each.by.name,     &each.by.request_id,
                                   &each.action,        &each.target_kind, &each.target};
    for (std::size_t i = 0; i < texts.size(); ++i)
      texts[i].add(*values[i]);
  }
  statement_call insert{&insert_statement,
                        {std::move(texts[0]).finish(), std::move(times).finish(), std::move(ids).finish()}};
  for (std::size_t i = 1; i < texts.size(); ++i)
    insert.parameters.emplace_back(std::move(texts[i]).finish());
  return {{tenants_call(tenants), std::move(insert)}};
}

result<unit> read_audit_page(const read_audit& wanted) {
  auto place = read_cursor(wanted.cursor, "audit entries");
  if (!place)
    return place.failure();
  if (wanted.to && within_time(*wanted.to) < place->at)
    *place = {within_time(*wanted.to), {}};
  const auto limit = static_cast<std::int64_t>(wanted.limit) + 1; // one more tells whether there is a next page
  return unit{{tenants_call({wanted.tenant.text()}),
               {&statement_for(wanted),
                {wanted.tenant.text(), encode_timestamp(place->at), encode_uuid(place->id),
                 encode_timestamp(within_time(wanted.from.value_or(timestamp{}))), wanted.actor.value_or(""),
                 wanted.action.value_or(""), wanted.target.value_or(""), encode_int8(limit)}}}};
}

result<audit_page> decode_audit_page(const read_audit& wanted, const unit_outcome& outcome) {
  if (outcome.failure)
    return to_error(*outcome.failure);
  const auto& found = outcome.results.back();
  audit_page page;
  for (int i = 0; i < found.count() && page.entries.size() < wanted.limit; ++i) {
    row_reader row(found, i);
    audit_entry entry;
    entry.tenant = wanted.tenant;
    entry.id = audit_id{row.uuid()};
    entry.at = row.time();
    entry.by.name = row.text();
    entry.by.request_id = row.text();
    entry.action = row.text();
    entry.target_kind = row.text();
    entry.target = row.text();
    page.entries.push_back(std::move(entry));
  }
  if (static_cast<std::size_t>(found.count()) > wanted.limit && !page.entries.empty())
    page.next_cursor = to_cursor({page.entries.back().at, page.entries.back().id.bytes});
  return page;
}

} // namespace colloquy::db
