#include "db/document_matches.hpp"

#include <algorithm>
#include <array>

namespace colloquy::db {
namespace {

/// How many documents of each of several equalities are counted to find the rarest.
constexpr int rarity_count_max = 1000;

/// Documents that are found before the first is locked: so many may be changed by others in between.
constexpr std::size_t candidates_max = 100;

/// What the partial indexes hold, and those of `documents`.
constexpr std::size_t indexed_bytes_max = 255;
constexpr std::array<std::string_view, 3> indexed_columns{"session_id", "customer_id", "agent_id"};

std::string direction(bool is_descending) {
  return is_descending ? " DESC" : "";
}

bool is_by_id(const place_order& order) {
  return order.by.by == document_order::key::id;
}

/// A string without anything that JSON escapes, as it stands in JSON.
std::optional<std::string> plain_string(const std::string& json) {
  if (json.size() < 2 || json.front() != '"' || json.find('\\') != std::string::npos)
    return std::nullopt;
  return json.substr(1, json.size() - 2);
}

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (const auto& part : parts)
    out += (out.empty() ? std::string() : std::string(between)) + part;
  return out;
}

} // namespace

document_matches::document_matches(composed_statement& statement, const document_tables& tables,
                                   const std::string& collection, const document_filter& where)
  : statement_(statement)
  , collection_(find_collection(statement, tables, collection))
  , cover_(find_cover(where))
  , filter_(to_sql(statement, where, "d")) {
  choose_way(where, tables.find_table(collection));
  choose_counting(where);
}

/// Not in a user's name: then the filter has two parts at least.
void document_matches::choose_counting(const document_filter& where) {
  const auto* inner = &where;
  while (inner->kind != document_filter::what::test && inner->parts.size() == 1)
    inner = &inner->parts.front();
  if (inner->kind == document_filter::what::all && inner->parts.empty())
    counting_ = counting::all;
  else if (inner->kind == document_filter::what::test && cover_ && cover_->size() == 1 && cover_->terms.size() == 1)
    counting_ = counting::term;
}

void document_matches::choose_way(const document_filter& where, const store_table* own_table) {
  if (!cover_ || (cover_->size() == 1 && cover_->sort_keys.size() == 1 && where.kind != document_filter::what::any))
    return; // a condition on sort_key goes by the index of the order
  if (cover_->size() == 1 && cover_->terms.size() == 1) {
    const auto& [field, json] = cover_->terms.front();
    const bool has_index =
        own_table ? std::find(own_table->id_columns.begin(), own_table->id_columns.end(), field) !=
                        own_table->id_columns.end()
                  : std::find(indexed_columns.begin(), indexed_columns.end(), field) != indexed_columns.end();
    if (const auto text = plain_string(json); has_index && text && text->size() <= indexed_bytes_max) {
      way_ = way::column;
      column_condition_ = " AND d." + field + " = " + statement_.add_text(*text) + " AND octet_length(d." + field +
                          ") <= " + std::to_string(indexed_bytes_max);
      return;
    }
  }
  way_ = way::lookup;
  if (!cover_->ids.empty() || cover_->size() == 0)
    ids_ = statement_.add_texts(cover_->ids);
  if (!cover_->sort_keys.empty())
    keys_ = statement_.add_texts(cover_->sort_keys);
  if (!cover_->terms.empty())
    terms_ = terms();
}

/// The numbers of the terms; of those of which one will do, the one that fewest documents have.
std::string document_matches::terms() const {
  std::vector<std::string> fields, values;
  for (const auto& [field, json] : cover_->terms) {
    fields.push_back(field);
    values.push_back(json);
  }
  const auto named =
      "unnest(" + statement_.add_texts(fields) + ", " + statement_.add_jsonbs(values) + ") AS f(name, value)";
  if (!cover_->is_any_enough)
    return "ARRAY(SELECT DISTINCT document_term(f.name, f.value) FROM " + named + ")";
  return "ARRAY(SELECT r.term FROM (SELECT document_term(f.name, f.value) AS term FROM " + named +
         ") AS r ORDER BY (SELECT count(*) FROM (SELECT FROM document_terms AS t WHERE " + in_collection("t") +
         " AND t.term = r.term LIMIT " + std::to_string(rarity_count_max) + ") AS n) LIMIT 1)";
}

std::string document_matches::in_collection(const std::string& alias) const {
  return alias + ".tenant_id = $1 AND " + alias + ".collection_id = " + collection_.id;
}

std::string document_matches::is_document(const std::string& alias, const std::string& id) const {
  return in_collection(alias) + " AND " + alias + ".id = " + id;
}

std::string document_matches::scan(const std::string& columns, const std::string& more) const {
  return "SELECT " + columns + " FROM " + collection_.table + " AS d WHERE " + in_collection("d") + column_condition_ +
         " AND " + filter_ + more;
}

/// OFFSET 0 keeps the rest of the filter out, so that nothing but the key is there to find it by.
std::string document_matches::looked_up(const std::string& id) const {
  return "LATERAL (SELECT o.sort_key, o.id, o.bytes, o.data FROM " + collection_.table + " AS o WHERE " +
         is_document("o", id) + " OFFSET 0) AS d";
}

std::string document_matches::after(const match_order& order, const std::string& alias) const {
  const auto* places = std::get_if<place_order>(&order);
  if (!places || !places->after)
    return "";
  const auto op = places->by.is_descending ? " < " : " > ";
  const auto id = statement_.add_text(places->after->second);
  if (is_by_id(*places))
    return " AND " + alias + ".id" + op + id;
  return " AND (" + alias + ".sort_key, " + alias + ".id)" + op + "(" + statement_.add_text(places->after->first) +
         ", " + id + ")";
}

std::string document_matches::order_by(const match_order& order, const std::string& alias) const {
  const auto* places = std::get_if<place_order>(&order);
  if (!places)
    return " ORDER BY " + field_order_by(std::get<std::vector<field_order>>(order), alias);
  const auto turn = direction(places->by.is_descending);
  return is_by_id(*places) ? " ORDER BY " + alias + ".id" + turn
                           : " ORDER BY " + alias + ".sort_key" + turn + ", " + alias + ".id" + turn;
}

/// The kind of the value first, then the value; a cast in CASE is reached by numbers alone.
std::string document_matches::field_order_by(const std::vector<field_order>& fields, const std::string& alias) const {
  std::string out;
  for (const auto& each : fields) {
    const auto name = statement_.add_text(each.field);
    const auto value = "(" + alias + ".data -> " + name + ")";
    const auto kind = "jsonb_typeof" + value;
    const auto turn = direction(each.is_descending) + ", ";
    out += "CASE " + kind +
           " WHEN 'null' THEN 1 WHEN 'boolean' THEN 2 WHEN 'number' THEN 3 WHEN 'string' THEN 4 WHEN 'array' THEN 5"
           " WHEN 'object' THEN 5 ELSE 0 END" +
           turn + "CASE " + kind + " WHEN 'number' THEN " + value + "::numeric END" + turn + "CASE WHEN " + kind +
           " IN ('string', 'boolean') THEN (" + alias + ".data ->> " + name + ") COLLATE \"C\" END" + turn;
  }
  return out + alias + ".sort_key, " + alias + ".id";
}

/// One SELECT for each kind of values that the documents are looked up by. Each value's documents are cut by
/// themselves, which is enough for the first ones of all.
std::vector<std::string> document_matches::branches(const std::string& columns, const match_order& order,
                                                    const std::optional<std::string>& limit) const {
  std::vector<std::string> out;
  const auto cut = limit ? " LIMIT " + *limit : std::string(" OFFSET 0"); // either keeps the values apart
  if (!ids_.empty())
    out.push_back("SELECT " + columns + " FROM unnest(" + ids_ + ") AS u(id), " + looked_up("u.id") + " WHERE " +
                  filter_ + after(order, "d"));
  if (!keys_.empty())
    out.push_back("SELECT d.* FROM unnest(" + keys_ + ") AS u(sort_key), LATERAL (" +
                  scan(columns, " AND d.sort_key >= u.sort_key AND d.sort_key <= u.sort_key" + after(order, "d") +
                                    order_by(limit ? order : place_order{}, "d") + cut) +
                  ") AS d");
  if (!terms_.empty())
    out.push_back("SELECT d.* FROM unnest(" + terms_ + ") AS u(term), LATERAL (SELECT " + columns +
                  " FROM document_terms AS t, " + looked_up("t.id") + " WHERE " + in_collection("t") +
                  " AND t.term = u.term AND " + filter_ + after(order, "t") + (limit ? order_by(order, "t") : "") +
                  cut + ") AS d");
  return out;
}

std::string document_matches::select(const match_order& order, std::size_t limit) const {
  const std::string columns = "d.sort_key, d.id, d.bytes, d.data";
  const auto count = statement_.add_int8(static_cast<std::int64_t>(limit));
  if (way_ != way::lookup)
    return scan(columns, after(order, "d") + order_by(order, "d") + " LIMIT " + count);
  const auto* places = std::get_if<place_order>(&order);
  const auto found = branches(columns, order, places ? std::optional(count) : std::nullopt);
  const std::string once = !places ? "" : is_by_id(*places) ? "DISTINCT ON (m.id) " : "DISTINCT ON (m.sort_key, m.id) ";
  return "SELECT " + once + "m.* FROM (" + join(found, " UNION ALL ") + ") AS m" + order_by(order, "m") + " LIMIT " +
         count;
}

/// The order that nobody asks for here leaves the planner no other index than that of the page.
std::string document_matches::count() const {
  if (counting_ == counting::all)
    return "SELECT coalesce(sum(t.documents), 0)::bigint FROM collection_counts AS t WHERE " + in_collection("t");
  if (counting_ == counting::term)
    return "SELECT count(*) FROM document_terms AS t WHERE " + in_collection("t") + " AND t.term = document_term(" +
           statement_.add_text(cover_->terms.front().first) + ", " +
           statement_.add_jsonb(cover_->terms.front().second) + ")";
  if (way_ != way::lookup)
    return "SELECT count(*) FROM (" + scan("d.id", order_by(place_order{}, "d") + " OFFSET 0") + ") AS m";
  const auto found = branches("d.id", place_order{}, std::nullopt);
  const bool is_one = cover_->size() == 1 || cover_->is_any_enough;
  return std::string("SELECT count(") + (is_one ? "*" : "DISTINCT m.id") + ") FROM (" + join(found, " UNION ALL ") +
         ") AS m";
}

/// A collection that is made anew has another number, and with it another seed. None there: 0.
std::string document_matches::stamp() const {
  return "coalesce((SELECT hashint8extended(sum(t.changes)::bigint, " + collection_.id +
         ") FROM collection_counts AS t WHERE " + in_collection("t") + "), 0)";
}

document_matches::locking_select document_matches::lock_first(const std::string& condition) const {
  const match_order first = place_order{};
  if (way_ != way::lookup)
    return {"", scan("d.id, d.bytes, d.data", " AND " + condition + order_by(first, "d") + " LIMIT 1 FOR UPDATE OF d")};
  return {"SELECT c.id FROM (" + select(first, candidates_max) + ") AS c WHERE " + condition,
          "SELECT d.* FROM candidates AS c, LATERAL (SELECT d.id, d.bytes, d.data FROM " + collection_.table +
              " AS d WHERE " + is_document("d", "c.id") + " AND " + filter_ + " FOR UPDATE OF d) AS d LIMIT 1"};
}

} // namespace colloquy::db
