#include "db/fingerprint.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace colloquy::db {
namespace {

constexpr std::string_view operator_bytes = "+-*/<>=~!@#%^&|`?";
constexpr std::string_view hidden = "?";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Identifiers begin with letters, _ and whatever is not ASCII.
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool continues_word(char c) {
  return begins_word(c) || is_digit(c) || c == '$';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// PostgreSQL's own lexer, as far as it takes to tell literals from the rest.
class lexer {
public:
  explicit lexer(std::string_view sql)
    : sql_(sql) {}

  std::vector<std::string> tokens() {
    while (at_ < sql_.size())
      next();
    return std::move(tokens_);
  }

private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0'; }
  bool looking_at(std::string_view text) const { return sql_.substr(at_).starts_with(text); }

  void next() {
    const char c = peek();
    if (looking_at("--"))
      skip_line();
    else if (looking_at("/*"))
      skip_comment();
    else if (c == '\'')
      hide_string(false);
    else if (c == '"')
      quoted_identifier();
    else if (c == '$')
      dollar();
    else if (is_digit(c) || (c == '.' && is_digit(peek(1))))
      number();
    else if (begins_word(c))
      word();
    else if (operator_bytes.find(c) != std::string_view::npos)
      operators();
    else
      punctuation();
  }

  void skip_line() { at_ = std::min(sql_.find_first_of("\r\n", at_), sql_.size()); }

  /// They nest.
  void skip_comment() {
    std::size_t depth = 0;
    do {
      const bool opens = looking_at("/*"), closes = looking_at("*/");
      depth += opens ? 1 : 0;
      depth -= closes ? 1 : 0;
      at_ += opens || closes ? 2 : 1;
    } while (depth > 0 && at_ < sql_.size());
    at_ = std::min(at_, sql_.size());
  }

  /// Two in a row are one to the server as well, if there is a line break between them.
  void hide() {
    if (tokens_.empty() || tokens_.back() != hidden)
      tokens_.emplace_back(hidden);
  }

  void hide_string(bool has_escapes) {
    do
      skip_string(has_escapes);
    while (has_escapes && finds_continuation());
    hide();
  }

  void skip_string(bool has_escapes) {
    for (++at_; at_ < sql_.size(); ++at_) {
      if (has_escapes && peek() == '\\') {
        ++at_;
        continue;
      }
      if (peek() != '\'')
        continue;
      if (peek(1) != '\'')
        break;
      ++at_;
    }
    at_ = std::min(at_ + 1, sql_.size());
  }

  /// After a line break a string goes on, and then with the same escapes.
  bool finds_continuation() {
    const auto begin = at_;
    while (at_ < sql_.size() &&
           (looking_at("--") || std::string_view(" \t\n\r\f\v").find(peek()) != std::string_view::npos))
      if (looking_at("--"))
        skip_line();
      else
        ++at_;
    const auto between = sql_.substr(begin, at_ - begin);
    if (peek() == '\'' && between.find_first_of("\r\n") != std::string_view::npos)
      return true;
    at_ = begin;
    return false;
  }

  void quoted_identifier() {
    std::string text = "\"";
    for (++at_; at_ < sql_.size(); ++at_) {
      text.push_back(static_cast<unsigned char>(peek()) < ' ' || peek() == '\x7f' ? ' ' : peek());
      if (peek() != '"')
        continue;
      if (peek(1) != '"') {
        ++at_;
        tokens_.push_back(std::move(text));
        return;
      }
      text.push_back('"');
      ++at_;
    }
    hide();
  }

  /// A parameter, or a string between two equal tags.
  void dollar() {
    auto end = at_ + 1;
    if (end < sql_.size() && begins_word(sql_[end]))
      while (end < sql_.size() && sql_[end] != '$' && continues_word(sql_[end]))
        ++end;
    if (end < sql_.size() && sql_[end] == '$') {
      const auto tag = sql_.substr(at_, end + 1 - at_);
      const auto closing = sql_.find(tag, end + 1);
      at_ = closing == std::string_view::npos ? sql_.size() : closing + tag.size();
    } else {
      for (++at_; is_digit(peek());)
        ++at_;
    }
    hide();
  }

  /// All that might belong to it, as in 0x1F, 1_000, 1.5e-3 and 1..2.
  void number() {
    for (; (continues_word(peek()) && peek() != '$') || peek() == '.'; ++at_)
      if (lower(peek()) == 'e' && (peek(1) == '-' || peek(1) == '+') && is_digit(peek(2)))
        ++at_;
    drop_sign();
    hide();
  }

  /// A sign is the number's own if no operand can stand before it.
  void drop_sign() {
    if (tokens_.size() < 2 || (tokens_.back() != "-" && tokens_.back() != "+"))
      return;
    const auto& before = tokens_[tokens_.size() - 2];
    if (before == "(" || before == "[" || before == "," ||
        (before != hidden && operator_bytes.find(before.back()) != std::string_view::npos))
      tokens_.pop_back();
  }

  void word() {
    std::string text;
    for (; continues_word(peek()); ++at_)
      text.push_back(lower(peek()));
    const bool is_unicode = text == "u" && peek() == '&' && (peek(1) == '\'' || peek(1) == '"');
    at_ += is_unicode ? 1 : 0;
    if (is_unicode && peek() == '"')
      return quoted_identifier();
    if (peek() == '\'' && (is_unicode || text == "e" || text == "b" || text == "x" || text == "n"))
      return hide_string(text == "e");
    tokens_.push_back(std::move(text));
  }

  void operators() {
    auto end = at_;
    while (end < sql_.size() && operator_bytes.find(sql_[end]) != std::string_view::npos &&
           sql_.substr(end, 2) != "--" && sql_.substr(end, 2) != "/*")
      ++end;
    // As the server does: a sign at the end of an operator such as <= is the operand's.
    while (end - at_ > 1 && (sql_[end - 1] == '-' || sql_[end - 1] == '+') &&
           sql_.substr(at_, end - at_).find_first_of("~!@#%^&|`?") == std::string_view::npos)
      --end;
    tokens_.emplace_back(sql_.substr(at_, end - at_));
    at_ = end;
  }

  void punctuation() {
    if (looking_at("::") || looking_at(":=")) {
      tokens_.emplace_back(sql_.substr(at_, 2));
      at_ += 2;
      return;
    }
    if (peek() > ' ' && peek() < '\x7f') // no blanks, no control characters
      tokens_.emplace_back(1, peek());
    ++at_;
  }

  std::string_view sql_;
  std::size_t at_ = 0;
  std::vector<std::string> tokens_;
};

using token_list = std::vector<std::string>;

bool opens(const std::string& token) {
  return token == "(" || token == "[";
}

bool closes(const std::string& token) {
  return token == ")" || token == "]";
}

/// Where the list element that begins at `from` ends: a comma, a closing bracket or the end. Unbracketed lists (VALUES)
/// end with the brackets of their element.
std::size_t element_end(const token_list& tokens, std::size_t from, bool bracketed) {
  std::size_t depth = 0;
  for (auto at = from; at < tokens.size(); ++at) {
    if (depth == 0 && (closes(tokens[at]) || tokens[at] == ","))
      return at;
    depth += opens(tokens[at]) ? 1 : 0;
    depth -= closes(tokens[at]) ? 1 : 0;
    if (depth == 0 && !bracketed)
      return at + 1;
  }
  return tokens.size();
}

constexpr unsigned depth_max = 8; // lists within lists; deeper ones are taken as they are

/// How many elements there are says nothing of what is done.
class list_collapser {
public:
  explicit list_collapser(token_list tokens, unsigned depth = 0)
    : tokens_(std::move(tokens))
    , depth_(depth) {}

  token_list collapsed() {
    while (at_ < tokens_.size()) {
      out_.push_back(tokens_[at_++]);
      const auto& word = out_.back();
      const bool bracketed = (word == "in" || word == "array") && at_ < tokens_.size() && opens(tokens_[at_]);
      if (bracketed)
        out_.push_back(tokens_[at_++]);
      if (bracketed || (word == "values" && at_ < tokens_.size() && tokens_[at_] == "("))
        take_list(bracketed);
    }
    return std::move(out_);
  }

private:
  /// Copies the elements, but none that is as the one before it.
  void take_list(bool bracketed) {
    for (bool first = true;; first = false) {
      const auto end = element_end(tokens_, at_, bracketed);
      token_list element(tokens_.begin() + std::ptrdiff_t(at_), tokens_.begin() + std::ptrdiff_t(end));
      if (depth_ < depth_max)
        element = list_collapser(std::move(element), depth_ + 1).collapsed();
      if (first || element != last_) {
        if (!first)
          out_.emplace_back(",");
        out_.insert(out_.end(), element.begin(), element.end());
        last_ = std::move(element);
      }
      at_ = end;
      if (at_ >= tokens_.size() || tokens_[at_] != ",")
        return;
      ++at_;
    }
  }

  token_list tokens_;
  token_list out_;
  token_list last_;
  std::size_t at_ = 0;
  unsigned depth_;
};

/// A name's arguments stand close to it, what follows a keyword does not.
bool is_keyword_before_bracket(const std::string& word) {
  static constexpr std::string_view keywords[] = {"and",  "as",   "by",    "exists", "from", "in",
                                                  "join", "not",  "on",    "or",     "over", "select",
                                                  "set",  "then", "using", "values", "when", "where"};
  return std::find(std::begin(keywords), std::end(keywords), word) != std::end(keywords);
}

bool has_blank_between(const std::string& left, const std::string& right) {
  if (right == "," || right == ";" || right == "." || right == "::" || closes(right) || left == "." || left == "::" ||
      opens(left))
    return false;
  if (opens(right))
    return !(begins_word(left.front()) || left.front() == '"' || closes(left)) || is_keyword_before_bracket(left);
  return true;
}

/// FNV-1a.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

void cut(std::string& text) {
  static constexpr std::string_view mark = "...";
  if (text.size() <= fingerprint_bytes_max)
    return;
  auto end = fingerprint_bytes_max - mark.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) // not within a character
    --end;
  text.resize(end);
  text += mark;
}

} // namespace

sql_fingerprint fingerprint(std::string_view sql) {
  auto tokens = list_collapser(lexer(sql).tokens()).collapsed();
  while (!tokens.empty() && tokens.back() == ";")
    tokens.pop_back();
  sql_fingerprint made;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && has_blank_between(tokens[i - 1], tokens[i]))
      made.text.push_back(' ');
    made.text += tokens[i];
  }
  made.hash = hash_of(made.text);
  cut(made.text);
  return made;
}

} // namespace colloquy::db
