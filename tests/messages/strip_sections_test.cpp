#include "messages/content.hpp"
#include "messages/strip_sections.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <random>

using namespace colloquy;

namespace {

section_stripper stripper(std::string start, std::string end, std::size_t bytes_min = 0) {
  auto made = section_stripper::make({std::move(start), std::move(end), bytes_min});
  REQUIRE(made.has_value());
  return *made;
}

/// What is left of a message whose content is this text, as it stands between the quotes.
std::string left_of(const section_stripper& strip, const std::string& literal) {
  const std::string before = R"({ "role":"user",  "content" : ")";
  const std::string after = R"(" , "metadata":{"a":"<c>x</c>"}})";
  const auto data = before + literal + after;
  REQUIRE(parse_message(data).has_value());
  const auto out = strip.strip(data);
  if (!out)
    return literal;
  REQUIRE(parse_message(out->data).has_value());
  REQUIRE(out->sections > 0);
  REQUIRE(out->data.starts_with(before));
  REQUIRE(out->data.ends_with(after));
  return out->data.substr(before.size(), out->data.size() - before.size() - after.size());
}

event user_message(event_offset offset, const std::string& text) {
  event message;
  message.role = message_role::user;
  message.offset = offset;
  message.data = R"({"role":"user","content":")" + text + "\"}";
  return message;
}

constexpr auto above_all = std::numeric_limits<event_offset>::max();

} // namespace

TEST_CASE("a marked section goes, and every other byte stays") {
  const auto strip = stripper("<c>", "</c>");
  CHECK(left_of(strip, "a <c>b</c> d") == "a  d");
  CHECK(left_of(strip, "<c></c>") == "");
  CHECK(left_of(strip, "<c>1</c>a<c>2</c>b<c>3</c>") == "ab");
  CHECK(left_of(strip, R"(\u00e9\/<c>\n</c>\t\u0041)") == R"(\u00e9\/\t\u0041)");
  CHECK(left_of(strip, "nothing here") == "nothing here");
  CHECK(strip.strip(R"({"content":"a<c>b</c><c>c</c>"})")->sections == 2);
}

TEST_CASE("markers are searched in the text, however the JSON writes it") {
  const auto strip = stripper("<c>", "</c>");
  CHECK(left_of(strip, R"(a\u003cc\u003Eb<\/c>d)") == "ad");
  CHECK(left_of(strip, R"(a\\u003cc>b</c>d)") == R"(a\\u003cc>b</c>d)");
  const auto odd = stripper("\xC3\xA9\"", "\xF0\x9F\x98\x80\n");
  CHECK(left_of(odd, R"(a\u00e9\"b\ud83d\ude00\nc)") == "ac");
  CHECK(left_of(odd, "a\xC3\xA9\\\"b\xF0\x9F\x98\x80\\nc") == "ac");
  CHECK(left_of(odd, R"(\ud83d\ude01\u00e9\"b\uD83D\uDE00\u000a\ud83d\ude02)") == R"(\ud83d\ude01\ud83d\ude02)");
  CHECK(left_of(stripper("\b\f", "\r\t"), R"(a\b\fx\r\ty)") == "ay");
}

TEST_CASE("what is not closed or not opened stays") {
  const auto strip = stripper("<c>", "</c>");
  for (const std::string text : {"a<c>b", "a</c>b", "</c><c>", "<c></c", "<c", "<c><c>"})
    CHECK(left_of(strip, text) == text);
  CHECK(left_of(strip, "</c>a<c>b</c>") == "</c>a");
  CHECK(left_of(strip, "<c>b</c>a</c>") == "a</c>");
}

TEST_CASE("nested sections go with the outermost that is closed") {
  const auto strip = stripper("<c>", "</c>");
  CHECK(left_of(strip, "a<c>1<c>2</c>3<c>4</c>5</c>b") == "ab");
  CHECK(left_of(strip, "a<c>1<c>2</c>b") == "a<c>1b");
  CHECK(left_of(strip, "what is <c>? <c>1</c><c>2<c>3</c></c>") == "what is <c>? ");
  CHECK(strip.strip(R"({"content":"<c><c>1</c></c>"})")->sections == 1);
}

TEST_CASE("markers that are the same, or begin alike, part as documented") {
  CHECK(left_of(stripper("--", "--"), "a--b--c--d") == "ac--d");
  CHECK(left_of(stripper("[", "[["), "a[b[[c") == "ac");
  CHECK(left_of(stripper("[[", "["), "a[[b[c[") == "ac[");
  CHECK(left_of(stripper("[[", "["), "a[[b[[c[d[e") == "ae");
}

TEST_CASE("a section smaller than asked for stays") {
  const auto strip = stripper("<c>", "</c>", 10);
  CHECK(left_of(strip, "<c>12</c>") == "<c>12</c>");
  CHECK(left_of(strip, "<c>123</c>") == "");
  CHECK(left_of(strip, R"(<c>\n\n</c><c>\u00e9\n</c>)") == R"(<c>\n\n</c>)");
  CHECK(left_of(strip, "<c><c></c></c><c></c>") == "<c></c>");
  const auto exact = stripper("<c>", "</c>", 7);
  CHECK(exact.strip(R"({"content":[{"type":"text","text":"<c></c>"}]})").has_value());
}

TEST_CASE("of an array only the text of text parts is looked at, each for itself") {
  const auto strip = stripper("<c>", "</c>");
  const std::string data = R"({"role":"user","content":[ {"type":"text","text":"a<c>b</c>"},)"
                           R"({"type":"image","text":"<c>b</c>"}, {"text":"<c>1</c>2" , "type":"te\u0078t"},)"
                           R"({"type":"text","more":{"text":"<c>b</c>"}},{"type":"text","text":["<c></c>"]},)"
                           R"({"type":"text","text":"<c>"},{"type":"text","text":"</c>"}],"name":"<c>n</c>"})";
  const std::string wanted = R"({"role":"user","content":[ {"type":"text","text":"a"},)"
                             R"({"type":"image","text":"<c>b</c>"}, {"text":"2" , "type":"te\u0078t"},)"
                             R"({"type":"text","more":{"text":"<c>b</c>"}},{"type":"text","text":["<c></c>"]},)"
                             R"({"type":"text","text":"<c>"},{"type":"text","text":"</c>"}],"name":"<c>n</c>"})";
  auto out = strip.strip(data);
  REQUIRE(out.has_value());
  CHECK(out->data == wanted);
  CHECK(out->sections == 2);
}

TEST_CASE("what is no message is left alone") {
  const auto strip = stripper("<c>", "</c>");
  for (const std::string data :
       {"", "1", "[]", "{}", R"("<c></c>")", R"(["<c></c>"])", R"({"content":1})", R"({"content":{"text":"<c></c>"}})",
        R"({"content":"<c></c>)", R"({"content":"<c>\x</c>"})", R"({"content":"<c>\ud83d</c>"})",
        R"({"content":"<c>\u12</c>"})", R"({"content":"<c>\u12g4</c>"})", R"({"content":"<c>\ud83d\ue000</c>"})",
        R"({"content":["<c></c>"]})", R"({"content":"\"})"})
    CHECK_FALSE(strip.strip(data).has_value());
}

TEST_CASE("the newest users' messages and those of others keep their sections") {
  const auto strip = stripper("<c>", "</c>");
  std::vector<event> messages;
  for (event_offset i = 0; i < 6; ++i)
    messages.push_back(user_message(i, "<c>" + std::to_string(i) + "</c>?"));
  messages[1].role = message_role::assistant;
  messages[2].kind = event_kind::custom;
  const auto before = messages;
  const auto from = newest_user_messages_from(messages, 2);
  CHECK(from == 4);
  const auto told = strip.dry_run_below(from, messages);
  for (std::size_t i = 0; i < messages.size(); ++i)
    CHECK(messages[i].data == before[i].data);
  const auto done = strip.strip_below(from, messages);
  REQUIRE(done.size() == 2);
  REQUIRE(told.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(done[i].offset == (i == 0 ? 0 : 3));
    CHECK(done[i].sections == 1);
    CHECK(done[i].bytes == 8);
    CHECK(told[i].offset == done[i].offset);
    CHECK(told[i].sections == done[i].sections);
    CHECK(told[i].bytes == done[i].bytes);
  }
  for (std::size_t i = 0; i < messages.size(); ++i)
    CHECK(messages[i].data == (i == 0 || i == 3 ? R"({"role":"user","content":"?"})" : before[i].data));
  CHECK(strip.strip_below(from, messages).empty());
}

TEST_CASE("the newest users' messages are found in whatever order they are") {
  std::vector<event> messages;
  for (event_offset i : {7, 3, 9, 1})
    messages.push_back(user_message(i, ""));
  CHECK(newest_user_messages_from(messages, 0) == above_all);
  CHECK(newest_user_messages_from(messages, 1) == 9);
  CHECK(newest_user_messages_from(messages, 3) == 3);
  CHECK(newest_user_messages_from(messages, 4) == 0);
  CHECK(newest_user_messages_from(messages, 5) == 0);
  CHECK(newest_user_messages_from({}, 1) == 0);
}

TEST_CASE("a marker that no text could hold is refused by name") {
  for (const std::string& bad : {std::string(), std::string(257, 'x'), std::string("\xFF"), std::string("a\0b", 3)}) {
    auto made = section_stripper::make({bad, "x"});
    REQUIRE_FALSE(made.has_value());
    CHECK(made.failure().code == error_code::invalid_request);
    CHECK_THAT(made.failure().message, test::StartsWith("start marker"));
    CHECK_THAT(section_stripper::make({"x", bad}).failure().message, test::StartsWith("end marker"));
  }
  CHECK(section_stripper::make({std::string(256, 'x'), "x"}).has_value());
}

TEST_CASE("many open starts cost no stack and little time") {
  const auto strip = stripper("<", ">");
  const std::string deep = std::string(500'000, '<') + std::string(500'000, '>');
  CHECK(left_of(strip, deep) == "");
  CHECK(left_of(strip, std::string(1'000'000, '<')).size() == 1'000'000);
}

namespace {

/// Characters of a text with a way to write each in JSON.
struct written {
  std::string text;
  std::vector<std::string> raw; ///< of each byte of `text`: the JSON of a character at its first byte, else ""
};

class random_texts {
public:
  explicit random_texts(unsigned seed)
    : random_(seed) {}

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

  written make() {
    written out;
    const auto pieces = below(25);
    for (std::size_t i = 0; i < pieces; ++i) {
      static const std::vector<std::string> all{"<a>", "</a>", "<a>", "</a>", "<", "a>", "x", "\\", "\"", "/", "\n"};
      const auto pick = below(all.size() + 2);
      if (pick == all.size())
        add(out, "\xC3\xA9", below(2) ? "\xC3\xA9" : R"(\u00e9)");
      else if (pick > all.size())
        add(out, "\xF0\x9F\x98\x80", below(2) ? "\xF0\x9F\x98\x80" : R"(\uD83d\ude00)");
      else
        for (char c : all[pick])
          add(out, std::string(1, c), write(c));
    }
    return out;
  }

private:
  static void add(written& to, const std::string& character, std::string raw) {
    to.text += character;
    to.raw.push_back(std::move(raw));
    to.raw.resize(to.text.size());
  }

  std::string write(char c) {
    if (below(3) == 0) {
      static constexpr std::string_view digits = "0123456789abcdef";
      return R"(\u00)" +
             std::string{digits[static_cast<std::size_t>(c >> 4)], digits[static_cast<std::size_t>(c & 15)]};
    }
    if (c == '\n')
      return R"(\n)";
    if (c == '"' || c == '\\' || (c == '/' && below(2)))
      return std::string("\\") + c;
    return std::string(1, c);
  }

  std::mt19937 random_;
};

/// Which bytes go: pairs of neighbouring markers are taken out of the list of markers until there is none.
std::vector<bool> gone(const std::string& text, std::size_t bytes_min, std::size_t& sections) {
  std::vector<std::pair<std::size_t, bool>> markers; // where, and whether it is a start
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text.substr(i, 3) == "<a>" || text.substr(i, 4) == "</a>")
      markers.push_back({i, text[i + 1] == 'a'});
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i + 1 < markers.size();)
    if (markers[i].second && !markers[i + 1].second) {
      pairs.push_back({markers[i].first, markers[i + 1].first + 4});
      markers.erase(markers.begin() + static_cast<std::ptrdiff_t>(i),
                    markers.begin() + static_cast<std::ptrdiff_t>(i + 2));
      i = 0;
    } else {
      ++i;
    }
  std::vector<bool> out(text.size());
  sections = 0;
  for (const auto& [begin, end] : pairs) {
    const bool is_inside = std::any_of(pairs.begin(), pairs.end(), [&, b = begin, e = end](const auto& other) {
      return other.first < b && e < other.second;
    });
    if (is_inside || end - begin < bytes_min)
      continue;
    ++sections;
    for (std::size_t i = begin; i < end; ++i)
      out[i] = true;
  }
  return out;
}

} // namespace

TEST_CASE("random texts lose just their sections, however they are written") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const char* many = std::getenv("COLLOQUY_TEST_HISTORIES");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const auto histories = many ? static_cast<unsigned>(std::strtoul(many, nullptr, 10)) : given ? 1u : 5000u;
  std::cout << "texts with sections: " << histories << " from seed " << first << "\n";
  unsigned stripped = 0;
  for (unsigned i = 0; i < histories; ++i) {
    INFO("COLLOQUY_TEST_SEED=" << first + i);
    random_texts random(first + i);
    const auto text = random.make();
    const auto bytes_min = random.below(2) ? 0 : random.below(20);
    std::size_t sections = 0;
    const auto goes = gone(text.text, bytes_min, sections);
    std::string before = R"({"content":")";
    std::string wanted = before;
    for (std::size_t k = 0; k < text.text.size(); ++k) {
      before += text.raw[k];
      wanted += goes[k] ? "" : text.raw[k];
    }
    before += R"(","role":"user"})";
    wanted += R"(","role":"user"})";
    REQUIRE(parse_message(before).has_value());
    REQUIRE(parse_message(wanted).has_value());
    const auto out = stripper("<a>", "</a>", bytes_min).strip(before);
    REQUIRE(out.has_value() == (sections > 0));
    if (!out)
      continue;
    ++stripped;
    REQUIRE(out->data == wanted);
    REQUIRE(out->sections == sections);
  }
  if (histories >= 1000)
    CHECK(stripped > histories / 5);
}
