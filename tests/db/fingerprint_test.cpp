// Statements are known by what they do; nothing of their values is left.
#include "db/fingerprint.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace colloquy;

namespace {

std::string text_of(std::string_view sql) {
  return db::fingerprint(sql).text;
}

/// Statements are made of lower case without digits; what is secret, of these.
constexpr std::string_view secret_bytes = "QXZ0123456789\x01\xFE";

class sql_maker {
public:
  explicit sql_maker(unsigned seed)
    : random_(seed) {}

  std::string statement() {
    std::string sql;
    for (auto left = pick(30); left > 0; --left)
      sql += part() + separator();
    return sql;
  }

private:
  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  std::string secret(std::string_view also = "") {
    const auto bytes = std::string(secret_bytes) + std::string(also);
    std::string out;
    for (auto left = pick(12); left > 0; --left)
      out.push_back(bytes[pick(bytes.size())]);
    return out;
  }

  /// Each form of literal, with the bytes that mean something elsewhere.
  std::string literal() {
    static const std::string prefixes[] = {"'", "n'", "B'", "x'", "u&'"};
    switch (pick(6)) {
    case 0:
      return prefixes[pick(std::size(prefixes))] + secret("\"$-/* \\\n") + "''" + secret(";(") + "'";
    case 1:
      return "e'" + secret("\"$-/* \n") + "\\'" + secret() + "\\\\" + secret("$") + "'";
    case 2:
      return "E'" + secret() + "'  -- " + secret() + "\n '" + secret() + "\\'" + secret("\"") + "'";
    case 3:
      return "$$" + secret("'\" -/*\n") + "$$";
    case 4:
      return "$tag$" + secret("'\"$ -/*\n") + "$$" + secret() + "$tag$";
    default:
      static const std::string numbers[] = {"42", "-1", "3.14", ".5", "1e-7", "1.5E+10", "0x1F", "1_000", "$3"};
      return numbers[pick(std::size(numbers))];
    }
  }

  std::string part() {
    static const std::string words[] = {"select", "from", "\"a table\"", "in (", ")",
                                        ",",      "=",    "values (",    "->>",  "::"};
    switch (pick(4)) {
    case 0:
      return literal();
    case 1:
      return "/* " + secret("' \"$") + " /* " + secret("'") + " */ " + secret("'") + "*/";
    case 2:
      return "--" + secret("'\"$ /*") + "\n";
    default:
      return words[pick(std::size(words))];
    }
  }

  std::string separator() { return pick(2) == 0 ? " " : "\n"; }

  std::mt19937 random_;
};

} // namespace

TEST_CASE("a fingerprint says what a statement does") {
  struct expectation {
    const char* sql;
    const char* text;
  };
  static constexpr expectation table[] = {
      {"SELECT * FROM events WHERE id = 42", "select * from events where id = ?"},
      {"select  *\n\tFROM Events -- all of them\nWHERE id=$1 ;", "select * from events where id = ?"},
      {"SELECT count(*) FROM t AS x WHERE a.b = 'secret'", "select count(*) from t as x where a.b = ?"},
      {"INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')", "insert into t(a, b) values (?, ?)"},
      {"INSERT INTO t VALUES (1, default), (2, default) RETURNING id",
       "insert into t values (?, default) returning id"},
      {"SELECT 1 WHERE a IN (1,2,3) AND b in ('x')", "select ? where a in (?) and b in (?)"},
      {"SELECT 1 WHERE a IN (SELECT b FROM c WHERE d IN (7, 8))",
       "select ? where a in (select b from c where d in (?))"},
      {"SELECT ARRAY[1,2,3], array['x']", "select array[?], array[?]"},
      {"SELECT a::text || E'it\\'s' || $q$ $$ $q$ FROM t", "select a::text || ? || ? from t"},
      {"SELECT \"Quoted \"\"Name\"\"\" FROM \"A\".b", "select \"Quoted \"\"Name\"\"\" from \"A\".b"},
      {"SELECT U&\"d\\0061t\" , u&'d\\0061t', b'01', X'1F', N'x'", "select \"d\\0061t\", ?, ?, ?, ?"},
      {"SELECT a-1, -1, b = -1, c<=-5, f(-2)", "select a - ?, ?, b = ?, c <= ?, f(?)"},
      {"SELECT /* a /* nested */ comment */ 1e-7, .5, 0x1F, 1_000", "select ?, ?, ?, ?"},
      {"SELECT data->>'key' FROM t WHERE data @> '{}'", "select data ->> ? from t where data @> ?"},
      {"SELECT a$1, b$ FROM t", "select a$1, b$ from t"},
      {"SELECT date '2020-01-01', interval'1 day'", "select date ?, interval ?"},
      {"", ""},
      {" ;; ", ""},
  };
  for (const auto& [sql, text] : table)
    CHECK(text_of(sql) == text);
}

TEST_CASE("what is not closed is hidden up to the end") {
  CHECK(text_of("SELECT 'hunter2 FROM t") == "select ?");
  CHECK(text_of("SELECT e'hunter2\\' FROM t") == "select ?");
  CHECK(text_of("SELECT $x$hunter2 FROM t $$ $y$") == "select ?");
  CHECK(text_of("SELECT \"hunter2 FROM t") == "select ?");
  CHECK(text_of("SELECT a /* hunter2 /* */ FROM t") == "select a");
  CHECK(text_of("SELECT a -- hunter2") == "select a");
}

TEST_CASE("statements that differ in values alone have one hash, others have another") {
  const auto hash = [](std::string_view sql) { return db::fingerprint(sql).hash; };
  CHECK(hash("SELECT a FROM t WHERE b IN (1, 2)") == hash("select a from T where b in ('x','y','z') -- why"));
  CHECK(hash("SELECT a FROM t") != hash("SELECT b FROM t"));
  CHECK(hash("SELECT a FROM t") != hash("SELECT \"A\" FROM t"));
  // In every process and version: it is looked up in old logs.
  CHECK(hash("select a") == 0x2fb485a1a5a4562U);
}

TEST_CASE("a long statement is cut, and its hash is of the whole") {
  const std::string start = "select " + std::string(300, 'a');
  const auto left = db::fingerprint(start + " from b"), right = db::fingerprint(start + " from c");
  CHECK(left.text.size() == db::fingerprint_bytes_max);
  CHECK(left.text.ends_with("aaa..."));
  CHECK(left.text == right.text);
  CHECK(left.hash != right.hash);
  CHECK(text_of("select " + std::string(193, 'a')).size() == 200);
  CHECK_FALSE(text_of("select " + std::string(193, 'a')).ends_with("..."));
  // Not within a character of several bytes.
  std::string wide = "select ";
  for (int i = 0; i < 200; ++i)
    wide += "é";
  CHECK(text_of(wide).ends_with("é..."));
  wide.insert(7, "x");
  CHECK(text_of(wide).ends_with("é..."));
}

TEST_CASE("no byte of a literal or a comment is in the fingerprint") {
  for (unsigned seed = 1; seed <= 3000; ++seed) {
    const auto sql = sql_maker(seed).statement();
    const auto text = text_of(sql);
    if (text.find_first_of(secret_bytes) != std::string::npos) {
      CAPTURE(seed, sql, text);
      FAIL("a value shows");
    }
  }
}

TEST_CASE("any bytes make one printable line of bounded length") {
  std::mt19937 random(7);
  static constexpr std::string_view bytes("'\"$-/*\\eEuU&xX(),.;:[]?=<>+ \n\r\t\0abin array values 019\x80\xFF\x7F",
                                          66);
  for (int round = 0; round < 3000; ++round) {
    std::string sql;
    for (auto left = random() % 400; left > 0; --left)
      sql.push_back(bytes[random() % sizeof bytes]);
    const auto text = text_of(sql);
    REQUIRE(text.size() <= db::fingerprint_bytes_max);
    REQUIRE(std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }));
  }
}

TEST_CASE("lists within lists, as deep as anybody likes, are no trouble") {
  std::string sql = "select a where b ";
  for (int i = 0; i < 100'000; ++i)
    sql += "in (1, ";
  CHECK(text_of(sql).size() == db::fingerprint_bytes_max);
}
