// What chains of converters make of documents, and which chains are refused.
#include "messages/document_conversion.hpp"
#include "messages/limits.hpp"

#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

#include <stdexcept>

using namespace colloquy;
using colloquy::test::ContainsSubstring;
using colloquy::test::StartsWith;
using json = nlohmann::json;

namespace {

document_converter step(std::optional<std::string> from, std::string to) {
  document_converter made;
  made.from = std::move(from);
  made.to = std::move(to);
  return made;
}

template <class Function>
document_converter calling(std::optional<std::string> from, std::string to, Function function) {
  auto made = step(std::move(from), std::move(to));
  made.convert = std::make_shared<const std::function<converted_document(std::string_view)>>(std::move(function));
  return made;
}

conversion_plan plan_of(std::vector<document_converter> converters, std::vector<std::string> collections = {"c", "d"}) {
  auto plan = conversion_plan::make(std::move(converters), collections);
  if (!plan)
    FAIL(plan.failure().message);
  return *plan;
}

std::string refused(std::vector<document_converter> converters) {
  const auto plan = conversion_plan::make(std::move(converters), {"c", "d"});
  REQUIRE_FALSE(plan);
  CHECK(plan.failure().code == error_code::invalid_request);
  return plan.failure().message;
}

json document(const json& version, json more = json::object()) {
  json made{{"id", "x"}, {"version", version}, {"creation_utc", "t"}};
  made.update(more);
  return made;
}

std::optional<std::string> version_of(const json& document) {
  return document["version"].is_null() ? std::nullopt : std::optional(document["version"].get<std::string>());
}

json converted(const conversion_plan& plan, const json& before, const std::string& target,
               const std::string& collection = "c") {
  const auto made = plan.convert(collection, version_of(before), before.dump(), target);
  if (!made)
    FAIL(made.failure().message);
  return json::parse(*made);
}

std::string failure(const conversion_plan& plan, const json& before, const std::string& target) {
  const auto made = plan.convert("c", version_of(before), before.dump(), target);
  REQUIRE_FALSE(made);
  return made.failure().message;
}

} // namespace

TEST_CASE("a converter renames, removes, sets, sets what is missing, and the version, in this order") {
  auto one = step("1", "2");
  one.rename = {{"a", "b"}, {"none", "other"}, {"was", "gone"}};
  one.remove = {"gone", "c"};
  one.set = {{"c", "[1, 2]"}, {"d", "\"new\""}};
  one.set_default = {{"d", "0"}, {"e", "{\"k\": null}"}, {"b", "0"}};
  const auto made =
      converted(plan_of({one}), document("1", {{"a", 1}, {"was", 2}, {"c", 3}, {"keep", "ü\"\\\n"}}), "2");
  CHECK(made == document("2", {{"b", 1}, {"c", {1, 2}}, {"d", "new"}, {"e", {{"k", nullptr}}}, {"keep", "ü\"\\\n"}}));
}

TEST_CASE("fields are renamed all at once, and none is lost under another") {
  auto one = step("1", "2");
  one.rename = {{"a", "b"}, {"b", "a"}};
  CHECK(converted(plan_of({one}), document("1", {{"a", 1}, {"b", 2}}), "2") == document("2", {{"a", 2}, {"b", 1}}));
  one.rename = {{"a", "b"}, {"b", "c"}};
  CHECK(converted(plan_of({one}), document("1", {{"a", 1}, {"b", 2}}), "2") == document("2", {{"b", 1}, {"c", 2}}));
  CHECK(converted(plan_of({one}), document("1", {{"c", 3}}), "2") == document("2", {{"c", 3}}));
  CHECK_THAT(failure(plan_of({one}), document("1", {{"b", 2}, {"c", 3}}), "2"), ContainsSubstring("renamed to 'c'"));
  one.remove = {"c"};
  CHECK_THAT(failure(plan_of({one}), document("1", {{"b", 2}, {"c", 3}}), "2"), ContainsSubstring("renamed to 'c'"));
}

TEST_CASE("what converters make may be as large as is allowed, or as it was") {
  auto one = step("1", "2");
  std::string compact = R"({"id":"x","version":"1","creation_utc":null)", spaced = compact;
  for (int i = 0; i < 66'000; ++i) {
    compact += ",\"f" + std::to_string(i) + "\":12345";
    spaced += ", \"f" + std::to_string(i) + "\": 12345";
  }
  REQUIRE(check_document(compact + "}"));
  CHECK(spaced.size() > limits::document_bytes_max);
  CHECK(plan_of({one}).convert("c", "1", spaced + "}", "2")); // as jsonb writes it
  const auto small = document("1", {{"a", std::string(100, 'x')}}).dump();
  CHECK(plan_of({one}).convert("c", "1", small, "2", 50));
  one.set = {{"b", "\"yyyyyyyyyy\""}};
  CHECK_FALSE(plan_of({one}).convert("c", "1", small, "2", 50));
}

TEST_CASE("values of renamed fields stay as they were spelled") {
  auto one = step("1", "2");
  one.rename = {{"a", "b"}, {"same", "same"}, {"version", "old_version"}};
  const auto made = plan_of({one}).convert(
      "c", "1", R"({"id":"x","other":0,"version":"1","creation_utc":null,"a":12345678901234567890.10,"same":[ 1e2 ]})",
      "2");
  REQUIRE(made);
  CHECK_THAT(*made, ContainsSubstring("12345678901234567890.10") && ContainsSubstring("[ 1e2 ]") &&
                        ContainsSubstring(R"("old_version": "1")") && ContainsSubstring(R"("version": "2")"));
  CHECK(json::parse(*made).size() == 7);
}

TEST_CASE("field names are any strings") {
  auto one = step("1", "2");
  one.rename = {{"", "a.b"}, {"q\"", "\n\\"}};
  one.set = {{"ключ", "1"}};
  CHECK(converted(plan_of({one}), document("1", {{"", 1}, {"q\"", 2}}), "2") ==
        document("2", {{"a.b", 1}, {"\n\\", 2}, {"ключ", 1}}));
}

TEST_CASE("a chain leads from version to version, also from none, and begins where the document is") {
  std::vector<document_converter> chain{step("2", "3"), step(std::nullopt, "1"), step("1", "2")};
  for (auto& each : chain)
    each.set = {{"to" + each.to, "true"}};
  const auto plan = plan_of(chain);
  CHECK(converted(plan, document(nullptr), "3") == document("3", {{"to1", true}, {"to2", true}, {"to3", true}}));
  CHECK(converted(plan, document("2"), "3") == document("3", {{"to3", true}}));
  CHECK(converted(plan, document("01"), "2") == document("2", {{"to2", true}}));
  CHECK(failure(plan, document("7"), "8") == "no converter takes a document of version '7' on to version '8'");
  CHECK(failure(plan, document("2"), "4") == "no converter takes a document of version '3' on to version '4'");
  CHECK_THAT(failure(plan_of({}), document(nullptr), "1"), StartsWith("no converter takes a document of no version"));
}

TEST_CASE("a converter of one collection is for that alone, and goes before one for all") {
  auto all = step("1", "2");
  all.set = {{"by", "\"all\""}};
  auto own = step("1", "2");
  own.collection = "d";
  own.set = {{"by", "\"own\""}};
  const auto plan = plan_of({all, own});
  CHECK(converted(plan, document("1"), "2", "c")["by"] == "all");
  CHECK(converted(plan, document("1"), "2", "d")["by"] == "own");
}

TEST_CASE("a host's function gets the document as the fields of its converter have made it") {
  auto one = calling("1", "2", [](std::string_view text) {
    auto it = json::parse(text);
    it["seen"] = it["n"].get<int>() + 1;
    return converted_document(it.dump());
  });
  one.set = {{"n", "41"}};
  CHECK(converted(plan_of({one}), document("1", {{"n", 0}}), "2") == document("2", {{"n", 41}, {"seen", 42}}));
}

TEST_CASE("a host's function that fails, throws or makes nonsense is a failure of that document, with the reason") {
  const auto fails = [](auto function) { return failure(plan_of({calling("1", "2", function)}), document("1"), "2"); };
  CHECK(fails([](std::string_view) {
          return converted_document(error{error_code::conflict, "not this one"});
        }) == "not this one");
  CHECK(fails([](std::string_view) -> converted_document { throw std::runtime_error("no such field"); }) ==
        "the converter threw: no such field");
  CHECK_THAT(fails([](std::string_view) -> converted_document { throw 7; }), ContainsSubstring("threw"));
  CHECK_THAT(fails([](std::string_view) { return converted_document("[]"); }),
             ContainsSubstring("what is no document"));
  CHECK_THAT(fails([](std::string_view) { return converted_document(R"({"id":"x","version":"1"})"); }),
             ContainsSubstring("/creation_utc is missing"));
  CHECK(fails([](std::string_view) { return converted_document(R"({"id":"y","version":"1","creation_utc":"t"})"); }) ==
        "the converters changed the document's id to 'y'");
  CHECK_THAT(fails([](std::string_view) {
               return converted_document(error{error_code::internal, "\xff"});
             }),
             ContainsSubstring("no valid UTF-8"));
  std::string wide;
  for (int i = 0; i < 1000; ++i)
    wide += "ü";
  const auto cut = fails([&](std::string_view) { return converted_document(error{error_code::internal, "." + wide}); });
  CHECK(cut == "." + wide.substr(0, 998));
}

TEST_CASE("what is no document any more fails, and what was none too") {
  auto removing = step("1", "2");
  removing.remove = {"creation_utc"};
  CHECK_THAT(failure(plan_of({removing}), document("1"), "2"), ContainsSubstring("/creation_utc is missing"));
  auto growing = step("1", "2");
  growing.set = {{"a", "\"" + std::string(600'000, 'x') + "\""}};
  CHECK_THAT(failure(plan_of({growing}), document("1", {{"b", std::string(600'000, 'x')}}), "2"),
             ContainsSubstring("1048576 are allowed"));
  CHECK_THAT(failure(plan_of({step("1", "2")}), {{"id", 7}, {"version", "1"}, {"creation_utc", "t"}}, "2"),
             StartsWith("/id must be"));
}

TEST_CASE("converters that contradict each other, go round or change ids are refused, with their place") {
  CHECK_THAT(refused({step("1", "2"), step("01", "3")}), StartsWith("/converters/1: there is another converter"));
  CHECK_THAT(refused({step(std::nullopt, "2"), step(std::nullopt, "3")}), ContainsSubstring("no version"));
  CHECK_THAT(refused({step("1", "1")}), ContainsSubstring("circle"));
  CHECK_THAT(refused({step("0", "1"), step("1", "2"), step("2", "3"), step("3", "1")}), ContainsSubstring("circle at"));
  auto own = step("2", "1"); // round in d alone
  own.collection = "d";
  CHECK_THAT(refused({step("1", "2"), own}), ContainsSubstring("circle"));
  CHECK(conversion_plan::make({step("1", "3"), step("2", "3"), step("3", "4")}, {"c"}));

  auto elsewhere = step("1", "2");
  elsewhere.collection = "e";
  CHECK_THAT(refused({elsewhere}), StartsWith("/converters/0: the store has no collection 'e'"));
  for (auto change : std::vector<void (*)(document_converter&)>{
           [](auto& of) {
             of.rename = {{"id", "a"}};
           },
           [](auto& of) {
             of.rename = {{"a", "id"}};
           },
           [](auto& of) { of.remove = {"id"}; },
           [](auto& of) {
             of.set = {{"id", "1"}};
           },
           [](auto& of) {
             of.set_default = {{"id", "1"}};
           },
           [](auto& of) {
             of.set = {{"a", "{"}};
           },
           [](auto& of) {
             of.set = {{"a", "1,\"b\":2"}};
           },
           [](auto& of) {
             of.set = {{"\xff", "1"}};
           },
           [](auto& of) {
             of.set_default = {{"a", ""}};
           },
           [](auto& of) { of.to = ""; }, [](auto& of) { of.to = std::string(256, 'x'); },
           [](auto& of) { of.from = "\xff"; }, [](auto& of) { of.remove.resize(limits::converter_fields_max + 1); }}) {
    auto wrong = step("1", "2");
    change(wrong);
    CHECK_THAT(refused({step("0", "1"), wrong}), StartsWith("/converters/1: "));
  }
  std::vector<document_converter> many;
  for (std::size_t i = 0; i <= limits::converters_max; ++i)
    many.push_back(step(std::to_string(i), std::to_string(i + 1)));
  CHECK_THAT(refused(many), ContainsSubstring("at most 1000 are allowed"));
  many.pop_back();
  CHECK(converted(plan_of(many), document("0"), "1000") == document("1000"));
}
