// Lines out of bytes, and what is kept of one that is too long.
#include "gateway/mcp_line_cutter.hpp"
#include "tests/support/catch.hpp"

#include <vector>

namespace colloquy::gateway::mcp {
namespace {

/// The lines, and behind "!" the ids of those that were too long, however the bytes come.
std::vector<std::string> cut(std::string_view bytes, std::size_t most, std::size_t piece) {
  std::vector<std::string> out;
  line_cutter lines(most);
  lines.on_line = [&](std::string_view line) { out.emplace_back(line); };
  lines.on_overlong_line = [&](const std::string& id) { out.push_back("!" + id); };
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
    lines.take(bytes.substr(0, piece));
  lines.finish();
  return out;
}

std::string id_of(std::string_view message) {
  id_spotter spotter;
  spotter.take(message);
  return spotter.id();
}

} // namespace

TEST_CASE("lines come whole, and one that is too long is passed over and told by its id") {
  const std::string_view bytes = "short\n\n{\"method\":\"ping\",\"id\":7}\nlast";
  const std::vector<std::string> expected{"short", "", "!7", "last"};
  for (const std::size_t piece : {1, 3, 1000})
    CHECK(cut(bytes, 10, piece) == expected);
  CHECK(cut("1234567890\n12345678901", 10, 4) == std::vector<std::string>{"1234567890", "!null"});
}

TEST_CASE("the id of a message is found wherever it stands, and only there") {
  CHECK(id_of(R"({"id":-3,"method":"a","params":{}})") == "-3");
  CHECK(id_of(R"( { "method" : "a" , "params" : {"id":1,"x":[{"id":2}]} , "id" : "q\"}" } )") == R"("q\"}")");
  CHECK(id_of(R"({"method":"a","params":{"text":"\",\"id\":5}"},"id":6)") == "null"); // it has no end
  CHECK(id_of(R"({"id":1,"result":{}})") == "null");                                  // it asks for nothing
  CHECK(id_of(R"([{"id":1,"method":"a"}])") == "null");                               // it is several
  for (const auto* id : {"1.5", "null", "{}", "[1]", "\"\xff\""})
    CHECK(id_of(std::string(R"({"method":"a","id":)") + id + "}") == "null");
  CHECK(id_of("}}}]]]") == "null");
}

} // namespace colloquy::gateway::mcp
