#include "db/doctor_schema.hpp"

#include "db/conninfo.hpp"
#include "db/document_table_adoption.hpp"
#include "db/running_work.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace colloquy::db::doctor {
namespace {

using sort = schema_object::sort;

// ---- reading migrations

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Takes an SQL text apart into statements of words. Strings, comments and dollar-quoted bodies are left out; anything
/// that is neither a word nor a quoted name is a word of one character.
class statement_reader {
public:
  explicit statement_reader(std::string_view text)
    : text_(text) {}

  /// Empty at the end.
  std::vector<std::string> next() {
    std::vector<std::string> words;
    while (at_ < text_.size()) {
      if (text_[at_] == ';') {
        ++at_;
        if (!words.empty())
          return words;
      } else {
        read_one(words);
      }
    }
    return words;
  }

private:
  void read_one(std::vector<std::string>& words) {
    const char c = text_[at_];
    if (text_.substr(at_, 2) == "--")
      skip_past("\n", at_);
    else if (text_.substr(at_, 2) == "/*")
      skip_past("*/", at_ + 2);
    else if (c == '\'')
      skip_past("'", at_ + 1);
    else if (c == '$' && !dollar_tag().empty())
      skip_past(dollar_tag(), at_ + dollar_tag().size());
    else if (c == '"')
      words.push_back(quoted_name());
    else if (is_word(c))
      words.push_back(word());
    else if (++at_; std::isspace(static_cast<unsigned char>(c)) == 0)
      words.emplace_back(1, c);
  }

  void skip_past(std::string_view end, std::size_t from) {
    const auto found = text_.find(end, from);
    at_ = found == std::string_view::npos ? text_.size() : found + end.size();
  }

  std::string_view dollar_tag() const {
    auto end = at_ + 1;
    while (end < text_.size() && is_word(text_[end]))
      ++end;
    return end < text_.size() && text_[end] == '$' ? text_.substr(at_, end - at_ + 1) : std::string_view();
  }

  std::string quoted_name() {
    const auto begin = at_ + 1;
    skip_past("\"", begin);
    return std::string(text_.substr(begin, at_ - begin - 1));
  }

  std::string word() {
    const auto begin = at_;
    while (at_ < text_.size() && is_word(text_[at_]))
      ++at_;
    std::string out(text_.substr(begin, at_ - begin));
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

using words_view = std::span<const std::string>;

/// Takes these words off the front if they stand there.
bool take(words_view& words, std::initializer_list<std::string_view> expected) {
  if (words.size() < expected.size() || !std::equal(expected.begin(), expected.end(), words.begin()))
    return false;
  words = words.subspan(expected.size());
  return true;
}

std::string first_of(words_view words) {
  return words.empty() ? "" : words.front();
}

/// The word behind "on".
std::string table_of(words_view words) {
  const auto on = std::find(words.begin(), words.end(), "on");
  return on == words.end() || on + 1 == words.end() ? "" : *(on + 1);
}

std::optional<sort> take_sort(words_view& words) {
  for (const auto skipped : {"or", "replace", "unique", "temporary", "unlogged"})
    take(words, {skipped});
  static constexpr std::pair<std::string_view, sort> sorts[] = {
      {"table", sort::table},   {"view", sort::view},         {"index", sort::index},
      {"policy", sort::policy}, {"function", sort::function}, {"trigger", sort::trigger}};
  for (const auto& [word, what] : sorts)
    if (take(words, {word}))
      return what;
  return std::nullopt;
}

void skip_options(words_view& words) {
  take(words, {"concurrently"});
  if (!take(words, {"if", "not", "exists"}))
    take(words, {"if", "exists"});
}

bool belongs_to_table(sort what) {
  return what == sort::policy || what == sort::trigger;
}

void forget(std::vector<schema_object>& all, const schema_object& dropped) {
  std::erase_if(all, [&](const schema_object& each) {
    const bool is_it = each.what == dropped.what && each.name == dropped.name && each.table == dropped.table;
    const bool goes_with_it = dropped.what == sort::table && (each.table == dropped.name || each.name == dropped.name);
    return is_it || goes_with_it;
  });
}

void read_create(words_view words, std::vector<schema_object>& all) {
  const auto what = take_sort(words);
  if (!what)
    return;
  skip_options(words);
  schema_object made{*what, first_of(words), belongs_to_table(*what) || *what == sort::index ? table_of(words) : ""};
  forget(all, made); // OR REPLACE, IF NOT EXISTS
  all.push_back(std::move(made));
}

void read_drop(words_view words, std::vector<schema_object>& all) {
  const auto what = take_sort(words);
  if (!what)
    return;
  skip_options(words);
  if (*what == sort::index) {
    std::erase_if(all,
                  [&](const schema_object& each) { return each.what == sort::index && each.name == first_of(words); });
    return;
  }
  forget(all, {*what, first_of(words), belongs_to_table(*what) ? table_of(words) : ""});
}

void read_alter(words_view words, std::vector<schema_object>& all) {
  if (!take(words, {"table"}))
    return;
  skip_options(words);
  const auto table = first_of(words);
  words = words.empty() ? words : words.subspan(1);
  if (take(words, {"enable", "row", "level", "security"}))
    all.push_back({sort::row_security, table, table});
  else if (take(words, {"force", "row", "level", "security"}))
    all.push_back({sort::forced_row_security, table, table});
}

// ---- asking the catalog

// One row for each thing that is there: its sort as a number, its name, its table.
constexpr const char* catalog_sql = R"sql(
WITH place AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1),
     relation AS (SELECT c.* FROM pg_catalog.pg_class c WHERE c.relnamespace IN (SELECT oid FROM place))
SELECT 'table', relname::text, '', true FROM relation WHERE relkind IN ('r', 'p')
UNION ALL SELECT 'view', relname::text, '', true FROM relation WHERE relkind IN ('v', 'm')
UNION ALL SELECT 'index', r.relname::text, '', i.indisvalid
  FROM relation r JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid
UNION ALL SELECT 'policy', p.polname::text, r.relname::text, true
  FROM relation r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
UNION ALL SELECT 'function', proname::text, '', true
  FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM place)
UNION ALL SELECT 'trigger', t.tgname::text, r.relname::text, true
  FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL SELECT 'row level security', relname::text, '', true FROM relation WHERE relrowsecurity
UNION ALL SELECT 'forced row level security', relname::text, '', true FROM relation WHERE relforcerowsecurity
)sql";

std::string_view word_of(sort what) {
  switch (what) {
  case sort::table:
    return "table";
  case sort::view:
    return "view";
  case sort::index:
    return "index";
  case sort::policy:
    return "policy";
  case sort::function:
    return "function";
  case sort::trigger:
    return "trigger";
  case sort::row_security:
    return "row level security";
  case sort::forced_row_security:
    break;
  }
  return "forced row level security";
}

using catalog_key = std::pair<std::string, std::pair<std::string, std::string>>;

catalog_key key_of(const schema_object& object) {
  return {std::string(word_of(object.what)), {object.name, belongs_to_table(object.what) ? object.table : ""}};
}

void look_into_catalog(session& connection, const std::string& schema, deadline until, schema_facts& facts) {
  const auto expected = expected_objects();
  facts.expected = expected.size();
  const auto found = connection.query(catalog_sql, {schema}, until);
  facts.catalog_failure = found.failure;
  if (found.failure)
    return;
  std::set<catalog_key> there;
  for (std::size_t row = 0; row < found.rows.size(); ++row) {
    there.insert({found.at(row, 0), {found.at(row, 1), found.at(row, 2)}});
    if (found.at(row, 3) == "f")
      facts.invalid.push_back(found.at(row, 1));
  }
  for (const auto& object : expected)
    if (!there.contains(key_of(object)))
      facts.missing.push_back(to_string(object));
}

void look_at_store_tables(session& connection, const std::string& schema, const document_tables& tables, deadline until,
                          schema_facts& facts) {
  facts.expected += tables.all().size();
  const auto found = connection.query(missing_of_store_tables, {schema, store_tables_parameter(tables.all())}, until);
  facts.catalog_failure = found.failure;
  for (std::size_t row = 0; !found.failure && row < found.rows.size(); ++row)
    facts.missing.push_back(found.at(row, 0));
}

/// check_schema connects by itself, and blocks.
std::string with_connect_timeout(const std::string& conninfo, milliseconds limit) {
  auto values = parse_conninfo(conninfo);
  if (!values)
    return conninfo;
  // libpq takes 1 for 2, and no fractions.
  (*values)["connect_timeout"] = std::to_string(std::max<std::int64_t>(2, limit.count() / 1000));
  return write_conninfo(*values);
}

} // namespace

std::string to_string(const schema_object& object) {
  std::string text(word_of(object.what));
  if (object.what == sort::row_security || object.what == sort::forced_row_security)
    return text + " of " + object.name;
  return text + " " + object.name + (belongs_to_table(object.what) ? " on " + object.table : "");
}

std::vector<schema_object> expected_objects(std::span<const migration> all) {
  std::vector<schema_object> expected;
  for (const auto& one : all) {
    statement_reader reader(one.sql);
    for (auto words = reader.next(); !words.empty(); words = reader.next()) {
      words_view rest(words);
      if (take(rest, {"create"}))
        read_create(rest, expected);
      else if (take(rest, {"drop"}))
        read_drop(rest, expected);
      else if (take(rest, {"alter"}))
        read_alter(rest, expected);
    }
  }
  return expected;
}

schema_facts look_at_schema(session& connection, const std::string& conninfo, const std::string& schema,
                            milliseconds limit, const document_tables& tables) {
  const auto until = in(limit);
  running_work<result<schema_state>> recorded(
      [text = with_connect_timeout(conninfo, limit), schema] { return check_schema(text, schema); });
  schema_facts facts;
  look_into_catalog(connection, schema, until, facts);
  if (!tables.all().empty() && !facts.catalog_failure)
    look_at_store_tables(connection, schema, tables, until, facts);
  auto state = recorded.wait_until(until);
  if (!state)
    facts.failure = error{error_code::deadline_exceeded, "no answer within the time for this probe"};
  else if (!*state)
    facts.failure = std::move(state->failure());
  else
    facts.state = std::move(state->value());
  return facts;
}

} // namespace colloquy::db::doctor
