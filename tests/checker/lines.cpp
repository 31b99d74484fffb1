#include "tests/checker/lines.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <functional>

namespace colloquy::checker {
namespace {

constexpr std::size_t digest_characters = 32;

} // namespace

const std::string& line::operator[](std::string_view name) const {
  static const std::string none;
  const auto at = words.find(name);
  return at == words.end() ? none : at->second;
}

std::int64_t line::number(std::string_view name) const {
  const auto& text = (*this)[name];
  std::int64_t value = -1;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc{} && end == text.data() + text.size() ? value : -1;
}

std::string to_text(const line& said) {
  std::string text = said.kind;
  for (const auto& [name, value] : said.words)
    text.append(" ").append(name).append("=").append(value);
  return text;
}

line parse_line(std::string_view text) {
  line said;
  for (const auto& word : split(text, ' ')) {
    if (said.kind.empty())
      said.kind = word;
    else if (const auto is = word.find('='); is != std::string::npos)
      said.words[word.substr(0, is)] = word.substr(is + 1);
  }
  return said;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = text.find(at);
    parts.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return parts;
}

std::string message_text(const std::string& tag, std::size_t index) {
  std::size_t fill = index;
  for (const char c : tag) // not std::hash: another program may have to make the same
    fill = fill * 31 + static_cast<unsigned char>(c);
  const char* role = index % 2 == 0 ? "user" : "assistant";
  return std::string(R"({"role":")") + role + R"(","content":")" + tag + "." + std::to_string(index) + " " +
         std::string(20 + fill % 200, 'x') + R"("})";
}

std::string digest_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr);
  static constexpr char hex[] = "0123456789abcdef";
  std::string digest;
  for (unsigned i = 0; i < size && digest.size() < digest_characters; ++i) {
    digest.push_back(hex[bytes[i] >> 4]);
    digest.push_back(hex[bytes[i] & 15]);
  }
  return digest;
}

std::string digest_sql(const std::string& expression) {
  return "left(encode(sha256(convert_to(" + expression + ", 'UTF8')), 'hex'), " + std::to_string(digest_characters) +
         ")";
}

} // namespace colloquy::checker
