#include "db/sql_tokens.hpp"

#include <utility>

namespace colloquy::db {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool continues_name(char c) {
  return begins_name(c) || is_digit(c) || c == '$';
}
/// Only ASCII letters, as the server does it in a database of UTF-8.
char folded(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

class scanner {
public:
  explicit scanner(std::string_view sql)
    : sql_(sql) {}

  sql_tokens run() {
    while (at_ < sql_.size() && out_.is_whole)
      step();
    return std::move(out_);
  }

private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0'; }
  void add(sql_token::kind kind, std::string text = {}, bool has_escapes = false) {
    out_.tokens.push_back({kind, std::move(text), has_escapes});
  }

  void step() {
    const char c = peek();
    if (is_space(c))
      ++at_;
    else if (c == '-' && peek(1) == '-')
      skip_line();
    else if (c == '/' && peek(1) == '*')
      skip_comment();
    else if (c == '\'')
      take_plain_string();
    else if (c == '"')
      take_quoted();
    else if (c == '$')
      take_dollar();
    else if (is_digit(c) || (c == '.' && is_digit(peek(1))))
      take_number();
    else if (begins_name(c))
      take_word();
    else
      add(sql_token::kind::symbol, std::string(1, sql_[at_++]));
  }

  void skip_line() {
    while (at_ < sql_.size() && peek() != '\n' && peek() != '\r')
      ++at_;
  }

  void skip_comment() {
    at_ += 2;
    for (int depth = 1; depth > 0;) {
      if (at_ >= sql_.size()) {
        out_.is_whole = false;
        return;
      }
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    }
  }

  /// One that goes on with another in a new line goes on with its escapes, too; nobody writes that in good faith.
  void take_plain_string() {
    if (!out_.tokens.empty() && out_.tokens.size() == after_escapes_)
      out_.is_whole = false;
    take_string(false);
  }

  void take_string(bool escapes) {
    const auto begin = ++at_;
    bool has_escapes = false;
    while (at_ < sql_.size()) {
      if (escapes && peek() == '\\') {
        has_escapes = true;
        at_ += 2;
      } else if (peek() != '\'') {
        ++at_;
      } else if (peek(1) == '\'') {
        at_ += 2;
      } else {
        add(sql_token::kind::literal, std::string(sql_.substr(begin, at_++ - begin)), has_escapes);
        after_escapes_ = escapes ? out_.tokens.size() : after_escapes_;
        return;
      }
    }
    out_.is_whole = false;
  }

  void take_quoted() {
    std::string name;
    for (++at_; at_ < sql_.size(); ++at_) {
      if (peek() != '"') {
        name.push_back(peek());
      } else if (peek(1) == '"') {
        name.push_back('"');
        ++at_;
      } else {
        ++at_;
        return add(sql_token::kind::quoted, std::move(name));
      }
    }
    out_.is_whole = false;
  }

  void take_dollar() {
    if (is_digit(peek(1))) {
      for (++at_; is_digit(peek());)
        ++at_;
      return add(sql_token::kind::parameter);
    }
    std::size_t end = at_ + 1;
    while (end < sql_.size() && sql_[end] != '$' && continues_name(sql_[end]))
      ++end;
    if (end >= sql_.size() || sql_[end] != '$')
      return add(sql_token::kind::symbol, std::string(1, sql_[at_++]));
    const auto tag = sql_.substr(at_, end + 1 - at_);
    const auto close = sql_.find(tag, end + 1);
    if (close == std::string_view::npos) {
      out_.is_whole = false;
      return;
    }
    at_ = close + tag.size();
    add(sql_token::kind::literal, std::string(sql_.substr(end + 1, close - end - 1)));
  }

  void take_number() {
    while (continues_name(peek()) || peek() == '.') {
      const bool is_exponent = folded(peek()) == 'e' && (peek(1) == '+' || peek(1) == '-') && is_digit(peek(2));
      at_ += is_exponent ? 2 : 1;
    }
    add(sql_token::kind::literal);
  }

  void take_word() {
    const char first = folded(peek());
    if (peek(1) == '\'' && (first == 'e' || first == 'b' || first == 'x' || first == 'n')) {
      ++at_;
      return take_string(first == 'e');
    }
    if (first == 'u' && peek(1) == '&' && (peek(2) == '\'' || peek(2) == '"')) {
      out_.is_whole = false; // names and strings in escapes of their own
      return;
    }
    std::string word;
    for (; continues_name(peek()); ++at_)
      word.push_back(folded(peek()));
    add(sql_token::kind::word, std::move(word));
  }

  std::string_view sql_;
  std::size_t at_ = 0;
  sql_tokens out_;
  std::size_t after_escapes_ = 0; // tokens, when the last string with escapes ended
};

} // namespace

sql_tokens tokenize(std::string_view sql) {
  return scanner(sql).run();
}

} // namespace colloquy::db
