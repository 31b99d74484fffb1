#include "db/sql_effects.hpp"

#include "db/sql_function_names.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace colloquy::db {
namespace {

using token = sql_token;
using tokens = std::vector<sql_token>;

template <std::size_t Count>
bool is_one_of(const std::string& word, const std::array<std::string_view, Count>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::size_t name_bytes_max = 63;
constexpr std::array<std::string_view, 4> changing{"insert", "update", "delete", "merge"};
constexpr std::array<std::string_view, 7> plain_words{"select", "values", "null", "true", "false", "limit", "offset"};
constexpr std::array<std::string_view, 8> transactional{"begin", "start",   "commit",    "end",
                                                        "abort", "release", "savepoint", "rollback"};
// They change how text is read, who one is, or something that is not to be read back.
constexpr std::array<std::string_view, 8> unreplayable_settings{
    "role", "session_authorization", "standard_conforming_strings", "backslash_quote", "client_encoding", "names",
    "seed", "is_superuser"};

constexpr std::array<std::string_view, 4> clock_words{"now", "today", "tomorrow", "yesterday"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool has_clock_word(const std::string& text) {
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] >= 'a' && text[i] <= 'z') {
      word.push_back(text[i]);
    } else {
      if (is_one_of(word, clock_words))
        return true;
      word.clear();
    }
  }
  return false;
}

/// 10:00, whose zone can be another one each day; not what has a date, nor a format's HH24:MI.
bool has_time_of_no_day(const std::string& text) {
  bool has_date = false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const bool is_behind_digit = is_digit(text[i - 1]);
    if (text[i] == ',')
      has_date = false;
    else if (is_behind_digit && (text[i] == '-' || text[i] == '/' || text[i] == '.') && i + 1 < text.size() &&
             is_digit(text[i + 1]))
      has_date = true;
    else if (is_behind_digit && text[i] == ':' && !has_date && !(i >= 4 && text.compare(i - 4, 2, "hh") == 0))
      return true;
  }
  return false;
}

/// Whether a string may be read as another value at another time, as 'now' is. In arrays and rows there are quotes and
/// escapes of their own.
bool is_told_by_the_clock(std::string text) {
  std::erase_if(text, [](char c) { return c == '"' || c == '\\'; });
  std::transform(text.begin(), text.end(), text.begin(), lower);
  return has_clock_word(text) || has_time_of_no_day(text);
}

/// As the server keeps it: what is too long is cut behind a whole character.
std::string cut(std::string name) {
  if (name.size() <= name_bytes_max)
    return name;
  auto end = name_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80)
    --end;
  name.resize(end);
  return name;
}

class judging {
public:
  explicit judging(std::string_view sql) {
    auto read = tokenize(sql);
    at_ = std::move(read.tokens);
    while (!at_.empty() && at_.back().is_symbol(';'))
      at_.pop_back();
    if (!read.is_whole)
      doubt("its text could not be read to the end");
    if (std::any_of(at_.begin(), at_.end(), [](const token& each) { return each.is_symbol(';'); }))
      doubt("it is more than one statement");
  }

  sql_effects run() {
    if (at_.empty() && effects_.doubt.empty()) { // blanks and comments alone are taken, and do nothing
      effects_.kind = sql_kind::query;
      effects_.touches_nothing = true;
      return std::move(effects_);
    }
    std::size_t first = 0;
    while (first < at_.size() && at_[first].is_symbol('('))
      ++first;
    judge_from(first);
    return std::move(effects_);
  }

private:
  void doubt(std::string why) {
    if (effects_.doubt.empty())
      effects_.doubt = std::move(why);
  }
  bool is_word(std::size_t at, std::string_view word) const { return at < at_.size() && at_[at].is_word(word); }
  bool is_symbol(std::size_t at, char symbol) const { return at < at_.size() && at_[at].is_symbol(symbol); }
  std::string name_at(std::size_t at) const { return at < at_.size() && at_[at].is_name() ? cut(at_[at].text) : ""; }

  void judge_from(std::size_t first) {
    const auto word = first < at_.size() && at_[first].is == token::kind::word ? at_[first].text : std::string();
    if (word == "select" || word == "values" || word == "table" || word == "with")
      return judge_query(first);
    if (is_one_of(word, changing))
      return judge_query(first);
    if (word == "show")
      effects_.kind = sql_kind::query;
    else if (word == "explain")
      judge_explain(first);
    else if (word == "set" || word == "reset")
      judge_set(first);
    else if (word == "prepare" || word == "execute" || word == "deallocate")
      judge_prepared(first, word);
    else if (word == "listen" || word == "unlisten")
      judge_listen(first, word);
    else if (is_one_of(word, transactional))
      judge_transaction(first);
    else if (word == "notify")
      effects_.kind = sql_kind::notify;
    else if (word == "declare" || word == "fetch" || word == "move" || word == "close") {
      effects_.kind = sql_kind::cursor;
      doubt("it uses cursors");
    } else if (word == "discard") {
      effects_.kind = sql_kind::discard;
      doubt("it discards state");
    } else {
      effects_.kind = sql_kind::other;
      doubt(word.empty() ? "it is no known statement" : "it runs " + upper(word));
    }
  }

  static std::string upper(std::string word) {
    for (auto& c : word)
      c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return word;
  }

  void judge_query(std::size_t first) {
    effects_.kind = sql_kind::query;
    for (std::size_t i = first; i < at_.size(); ++i) {
      if (at_[i].is != token::kind::word)
        continue;
      // "FOR UPDATE" and "ON CONFLICT DO UPDATE" count as writing too: never too little.
      if (is_one_of(at_[i].text, changing) && !(i > 0 && at_[i - 1].is_symbol('.')))
        effects_.writes = true;
      if (at_[i].text == "into" && !(i > first && (is_word(i - 1, "insert") || is_word(i - 1, "merge"))))
        doubt("it makes a table by SELECT INTO");
    }
    if (is_one_of(at_[first].text, changing))
      effects_.kind = sql_kind::change;
    look_at_calls(first);
    effects_.touches_nothing = std::all_of(at_.begin(), at_.end(), [](const token& each) {
      return each.is == token::kind::literal || each.is == token::kind::parameter ||
             (each.is == token::kind::word && is_one_of(each.text, plain_words)) || each.is_symbol(',') ||
             each.is_symbol('(') || each.is_symbol(')');
    });
  }

  void judge_explain(std::size_t first) {
    auto inner = first + 1;
    if (is_symbol(inner, '('))
      while (inner < at_.size() && !is_symbol(inner++, ')')) {
      }
    while (is_word(inner, "analyze") || is_word(inner, "analyse") || is_word(inner, "verbose"))
      ++inner;
    while (is_symbol(inner, '('))
      ++inner;
    judge_from(inner);
    const bool runs_it =
        effects_.kind == sql_kind::query || effects_.kind == sql_kind::change || effects_.kind == sql_kind::execute;
    if (!runs_it)
      doubt("it explains more than a query");
    if (effects_.kind == sql_kind::change)
      effects_.kind = sql_kind::query;
  }

  void judge_set(std::size_t first) {
    effects_.kind = sql_kind::set;
    auto at = first + 1;
    if (is_word(at, "local")) {
      effects_.kind = sql_kind::set_local;
      ++at;
    } else if (is_word(at, "session") && !is_word(at + 1, "characteristics")) {
      ++at;
    }
    std::string name = name_at(at);
    if (is_word(first, "set") && (name == "transaction" || name == "constraints"))
      effects_.kind = sql_kind::set_local;
    if (name == "authorization")
      name = "session_authorization";
    if (is_word(at, "time") && is_word(at + 1, "zone"))
      name = "timezone";
    if (is_word(at, "schema"))
      name = "search_path";
    if (name == "session")
      name = is_word(at + 1, "authorization") ? "session_authorization" : "session characteristics";
    for (auto next = at + 1; is_symbol(next, '.'); next += 2)
      name += "." + name_at(next + 1);
    std::transform(name.begin(), name.end(), name.begin(), lower);
    if (name.empty())
      doubt("it sets something without a name");
    for (auto next = at + 1; next + 1 < at_.size(); ++next)
      if (is_word(next, "from") && is_word(next + 1, "current"))
        doubt("it sets what is in force already"); // by whatever that is
    if (is_one_of(name, unreplayable_settings))
      doubt("it sets " + name);
    effects_.name = is_word(first, "reset") && name == "all" ? "" : name;
    if (is_word(first, "set"))
      for (const auto& each : at_)
        if (each.is == token::kind::parameter)
          doubt("it sets a parameter");
  }

  void judge_prepared(std::size_t first, const std::string& word) {
    effects_.name = name_at(first + 1);
    if (word == "deallocate") {
      effects_.kind = sql_kind::deallocate;
      if (is_word(first + 1, "prepare") && first + 2 < at_.size())
        effects_.name = name_at(first + 2);
      if (at_.back().is_word("all"))
        effects_.name.clear();
      return;
    }
    if (word == "execute") {
      effects_.kind = sql_kind::execute;
      return look_at_calls(first + 3); // behind the name and its parenthesis
    }
    effects_.kind = sql_kind::prepare;
    if (is_word(first + 1, "transaction"))
      return doubt("it prepares a transaction");
    auto body = first + 2;
    for (; body < at_.size() && !is_word(body, "as"); ++body)
      if (at_[body].is_name()) // a parameter's type can be a domain
        effects_.names.insert(cut(at_[body].text));
    ++body;
    while (is_symbol(body, '('))
      ++body;
    const auto name = effects_.name;
    judge_from(body);
    if (effects_.kind != sql_kind::query && effects_.kind != sql_kind::change)
      doubt("it prepares more than a query");
    effects_.kind = sql_kind::prepare;
    effects_.name = name;
    look_at_literals();
  }

  /// A string becomes a value when its statement is prepared, and would become another one when it is prepared again.
  void look_at_literals() {
    std::string together; // strings that follow one another are one
    bool has_strings = false;
    for (std::size_t i = 0; i < at_.size(); ++i) {
      if (at_[i].is != token::kind::literal) {
        together.clear();
        continue;
      }
      together += at_[i].text;
      has_strings = has_strings || !at_[i].text.empty();
      if (at_[i].has_escapes || is_told_by_the_clock(together))
        doubt("it prepares a string that may be a time told by the clock");
    }
    if (has_strings && names_time_with_zone())
      doubt("it prepares a time whose zone may be another one each day");
  }

  bool names_time_with_zone() const {
    for (std::size_t i = 0; i < at_.size(); ++i) {
      const bool is_spelled_out = is_word(i, "with") && is_word(i + 1, "time") && is_word(i + 2, "zone");
      if ((at_[i].is_name() && at_[i].text == "timetz") ||
          (is_spelled_out && i > 0 && !at_[i - 1].is_word("timestamp")))
        return true;
    }
    return false;
  }

  void judge_listen(std::size_t first, const std::string& word) {
    effects_.kind = word == "listen" ? sql_kind::listen : sql_kind::unlisten;
    effects_.name = name_at(first + 1);
    const bool is_all = word == "unlisten" && is_symbol(first + 1, '*');
    const bool is_plain = !effects_.name.empty() && std::all_of(effects_.name.begin(), effects_.name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
    if (!is_all && !is_plain)
      doubt("its channel's name has other characters than a-z, A-Z, 0-9 and _");
  }

  void judge_transaction(std::size_t first) {
    effects_.kind = sql_kind::transaction;
    effects_.name = at_[first].text;
    if (is_word(first + 1, "prepared"))
      doubt("it ends a prepared transaction");
    if (at_[first].text == "rollback" &&
        std::any_of(at_.begin(), at_.end(), [](const token& each) { return each.is_word("to"); }))
      effects_.name = "rollback to";
  }

  /// What stands before an opening parenthesis is a function, unless it is known not to be.
  void look_at_calls(std::size_t first) {
    for (std::size_t i = first; i < at_.size(); ++i) {
      if (at_[i].is_name()) {
        effects_.names.insert(at_[i].text);
        if (at_[i].text.size() > name_bytes_max)
          doubt("a name in it is longer than the server keeps");
      }
      if (i > 0 && at_[i].is_name() && at_[i - 1].is_symbol('.') && !is_symbol(i + 1, '('))
        look_at_attribute(i);
      if (!at_[i].is_symbol('(') || i == 0 || !at_[i - 1].is_name())
        continue;
      auto begin = i - 1;
      while (begin >= 2 && at_[begin - 1].is_symbol('.') && at_[begin - 2].is_name())
        begin -= 2;
      const bool is_list = begin > 0 && (is_word(begin - 1, "into") || is_word(begin - 1, "as"));
      if (is_list)
        continue; // of columns
      look_at_call(begin, i - 1);
    }
  }

  /// (x).f calls f(x), if x has no column f; and so does x.f, where x is all that a function gives.
  void look_at_attribute(std::size_t at) {
    const auto& name = at_[at].text;
    const bool is_of_expression = at < 2 || !at_[at - 2].is_name();
    if (is_of_expression ? !leaves_nothing_behind(name) : changes_as_attribute(name))
      doubt("it may call " + name.substr(0, 100) + "(), written as an attribute, which may change the session");
  }

  void look_at_call(std::size_t begin, std::size_t last) {
    const auto& name = at_[last];
    const bool is_qualified = begin != last;
    if (!is_qualified && name.is == token::kind::word && is_no_function(name.text))
      return;
    const bool is_the_servers = !is_qualified || (last - begin == 2 && at_[begin].text == "pg_catalog");
    if (is_the_servers && leaves_nothing_behind(name.text))
      return;
    std::string full;
    for (auto i = begin; i <= last; i += 2)
      full += (full.empty() ? "" : ".") + at_[i].text;
    doubt("it calls " + full.substr(0, 100) + "(), which may change the session");
  }

  tokens at_;
  sql_effects effects_;
};

} // namespace

sql_effects judge(std::string_view sql) {
  return judging(sql).run();
}

bool may_be_read_only(sql_kind kind) noexcept {
  return kind != sql_kind::change && kind != sql_kind::notify && kind != sql_kind::other;
}

} // namespace colloquy::db
