// What a statement may leave behind in its session: never judged too lightly, whatever its text does to hide it.
#include "db/sql_effects.hpp"

#include "tests/support/catch.hpp"

#include <string>

using namespace colloquy::db;

namespace {

bool may_park(const std::string& sql) {
  return judge(sql).doubt.empty();
}

} // namespace

TEST_CASE("statements that leave nothing behind, or what can be done again, are known", "[sql_effects]") {
  for (const std::string sql :
       {"SELECT 1",
        "select * from notes where id = $1 order by 2 limit 3;",
        "VALUES (1, 'a'), (2, 'b')",
        "TABLE notes",
        "WITH x AS (SELECT count(*) AS n FROM notes) SELECT n FROM x",
        "INSERT INTO notes (id, text) VALUES (1, 'it''s') ON CONFLICT (id) DO UPDATE SET text = excluded.text",
        "UPDATE notes SET text = upper(text) WHERE id IN (1, 2) RETURNING id",
        "DELETE FROM notes USING old WHERE true",
        "MERGE INTO notes USING old ON (notes.id = old.id) WHEN MATCHED THEN DELETE",
        "SELECT cast(x AS varchar(10)), now() - interval '1 day', pg_catalog.lower('A') FROM notes AS n(x)",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b), sum(c) FILTER (WHERE c > 0) FROM t",
        "SELECT /* set_config( */ 1 -- nextval('s')",
        "SELECT t.id, s.t.name, (t).* FROM s.t AS t, pg_catalog.pg_class",
        "SELECT $$ set_config('a', 'b', false) $$",
        "SELECT 'set_config(' || E'\\'nextval(' || \"nextval\" FROM t",
        "SET search_path TO a, b",
        "SET TIME ZONE 'UTC'",
        "SET SESSION work_mem = '8MB'",
        "SET LOCAL work_mem = '8MB'",
        "RESET work_mem",
        "RESET ALL",
        "SET my.own = 'x'",
        "PREPARE p (int) AS SELECT * FROM notes WHERE id = $1",
        "EXECUTE p(1)",
        "DEALLOCATE p",
        "DEALLOCATE ALL",
        "LISTEN news",
        "UNLISTEN news",
        "UNLISTEN *",
        "BEGIN",
        "START TRANSACTION READ ONLY",
        "COMMIT",
        "ROLLBACK TO a",
        "SHOW work_mem",
        "EXPLAIN (ANALYZE, COSTS OFF) SELECT 1",
        "(SELECT 1) UNION (SELECT 2)",
        "NOTIFY news, 'x'",
        "",
        " ",
        "-- nothing",
        "/* nothing */;"}) {
    INFO(sql);
    CHECK(judge(sql).doubt == "");
  }
}

TEST_CASE("what may change a session in a way that cannot be done again is a doubt", "[sql_effects]") {
  for (const std::string sql : {"SELECT set_config('a.b', 'c', false)",
                                "SELECT SET_CONFIG ('a', 'b', false)",
                                "SELECT pg_catalog.set_config('a', 'b', false)",
                                "SELECT \"set_config\"('a', 'b', false)",
                                "SELECT pg_catalog . set_config /* here */ ('a', 'b', false)",
                                "SELECT nextval('s')",
                                "SELECT currval('s')",
                                "SELECT lastval()",
                                "SELECT setval('s', 1)",
                                "SELECT setseed(0.5)",
                                "SELECT pg_advisory_lock(1)",
                                "SELECT pg_try_advisory_xact_lock(1)",
                                "SELECT lo_create(0)",
                                "SELECT mine()",
                                "SELECT a.b()",
                                "SELECT a.lower('x')",
                                "SELECT * FROM mine(1) AS m",
                                "INSERT INTO t VALUES (nextval('s'))",
                                "UPDATE t SET a = mine(a)",
                                "DELETE FROM t WHERE mine(a)",
                                "WITH x AS (SELECT set_config('a', 'b', false)) SELECT * FROM x",
                                "SELECT 1 INTO TEMP t",
                                "SELECT query_to_xml('SELECT 1', true, true, '')",
                                "SELECT dblink('x', 'y')",
                                "CREATE TEMP TABLE t (a int)",
                                "CREATE TABLE t (a int)",
                                "DO $$ BEGIN END $$",
                                "CALL p()",
                                "DISCARD ALL",
                                "DECLARE c CURSOR FOR SELECT 1",
                                "SET ROLE other",
                                "SET SESSION AUTHORIZATION other",
                                "SET seed = 0.1",
                                "SET standard_conforming_strings = off",
                                "SET client_encoding = latin1",
                                "SET NAMES 'latin1'",
                                "SET work_mem FROM CURRENT",
                                "SET SESSION my.\"own\" from /* here */ current",
                                "SET LOCAL TIME ZONE FROM CURRENT",
                                "PREPARE TRANSACTION 'x'",
                                "COMMIT PREPARED 'x'",
                                "PREPARE p AS SELECT set_config('a', 'b', false)",
                                "EXECUTE p(nextval('s'))",
                                "EXPLAIN ANALYZE SELECT nextval('s')",
                                "EXPLAIN CREATE TABLE t AS SELECT 1",
                                "LISTEN \"a b\"",
                                "LOCK TABLE t",
                                "COPY t FROM STDIN",
                                "VACUUM",
                                "SELECT 1; SELECT 2",
                                "/* not closed",
                                "()",
                                "nonsense",
                                "SELECT a OPERATOR(mine.+) b FROM t",
                                "SELECT ('sq'::regclass).nextval",
                                "SELECT (4242::bigint).pg_advisory_lock",
                                "SELECT (0.25::float8) . /* here */ SetSeed",
                                "SELECT ($1).\"mine\"",
                                "SELECT a[1].mine FROM t",
                                "SELECT n.pg_advisory_lock FROM generate_series(1::bigint, 2) AS n",
                                "SELECT t.\"nextval\" FROM t",
                                "EXECUTE p((0.25::float8).setseed)",
                                "ALTER ROLE CURRENT_USER SET work_mem = '1MB'"}) {
    INFO(sql);
    CHECK(judge(sql).doubt != "");
  }
}

TEST_CASE("text that tries to look like something else is a doubt", "[sql_effects]") {
  for (const std::string sql : {
           "SELECT 'a",                                                // not closed
           "SELECT \"a",                                               //
           "SELECT /* /* */ 1",                                        //
           "SELECT $a$ $b$",                                           //
           "SELECT U&\"\\0073et_config\"('a', 'b', false)",            // a name in escapes
           "SELECT E'a'\n'\\' ' || set_config('a', 'b', false) || ''", // goes on with its escapes
           "SELECT E'\\'' || set_config('a', 'b', false) || E'\\''",   //
           "SELECT 1 /* /* */ */ , set_config('a', 'b', false)",       // nested
           "SELECT 1 --\r , set_config('a', 'b', false)",              // a line ends with a return, too
           "SELECT $x$ $X$ $x$, set_config('a', 'b', false)",          // tags count case
           "SELECT a$b$c, set_config('a', 'b', false), d$b$ FROM t",   // no tag inside a name
           "SELECT 1e5, 'x'::text, set_config ('a', 'b', false)",      //
           "SELECT count(*), s\xc3\xa4t_config('a') FROM t",           // no ASCII, no keyword
       }) {
    INFO(sql);
    CHECK_FALSE(may_park(sql));
  }
  const std::string long_name(70, 'a');
  CHECK_FALSE(may_park("SELECT " + long_name + " FROM t")); // the server cuts it, to another name
}

TEST_CASE("a string that is another time each time it is prepared is a doubt", "[sql_effects]") {
  for (const std::string sql :
       {"'now'::timestamptz", "timestamptz ' NOW '", "'{now}'::timestamptz[]", "'[Today,)'::daterange",
        "'tomorrow10:00'::timestamptz", "date $$yesterday$$", "date $a$yesterday$a$", "'no'\n'w'::timestamptz",
        "E'n\\x6fw'::timestamptz", "'{n\\ow}'::timestamptz[]", "'(n\"o\"w)'::own", "n'now'", "'10 am'::timetz",
        "CAST('101010' AS time(3) with time zone)", "'10:00 Europe/Oslo'::own", "'T10:00'",
        "'{2020-01-01 10:00,10:00}'::own[]"}) {
    INFO(sql);
    CHECK(judge("PREPARE p AS SELECT " + sql).doubt != "");
  }
  for (const std::string sql :
       {"now()", "CURRENT_DATE", "'known nowhere'", "'2020-01-01 00:00'::timestamptz", "'2020-01-01T00:00Z'",
        "'2020-01-01 00:00'::timestamp with time zone", "to_char(now(), 'YYYY-MM-DD HH24:MI:SS')", "E'plain'",
        "'{\"a\": 1}'::jsonb", "interval '1 day'", "t.now FROM t"}) {
    INFO(sql);
    CHECK(judge("PREPARE p AS SELECT " + sql).doubt == "");
  }
  CHECK(judge("SELECT 'now'::timestamptz").doubt == ""); // at once, and never again
}

TEST_CASE("names that a statement has in it are all told, as the server reads them", "[sql_effects]") {
  const auto effects = judge("SELECT t.Abc, \"Abc\", x.* FROM Schema1.T AS t JOIN u ON true");
  for (const std::string name : {"t", "abc", "Abc", "schema1", "u", "x"})
    CHECK(effects.names.contains(name));
  CHECK_FALSE(effects.writes);
  CHECK(judge("WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone").writes);
  CHECK(judge("INSERT INTO t VALUES (1)").kind == sql_kind::change);
}

TEST_CASE("the types of what is prepared are names in it, too", "[sql_effects]") {
  CHECK(judge("PREPARE p (own.positive, int) AS SELECT $1").names.contains("positive"));
}

TEST_CASE("a statement that can touch nothing of anybody's making is known", "[sql_effects]") {
  for (const std::string sql : {"SELECT 1", "VALUES (1, 'a', $1), (NULL, true, 2.5)", "(SELECT 1)", "--"})
    CHECK(judge(sql).touches_nothing);
  for (const std::string sql : {"SELECT now()", "SELECT 1 + 1", "SELECT 'a'::text", "SELECT a", "TABLE t", "EXECUTE p"})
    CHECK_FALSE(judge(sql).touches_nothing);
}

TEST_CASE("what is set, prepared and listened to is known by name", "[sql_effects]") {
  CHECK(judge("SET Search_Path = a").name == "search_path");
  CHECK(judge("SET \"my\".\"Own\" TO 1").name == "my.own");
  CHECK(judge("SET TIME ZONE 'UTC'").name == "timezone");
  CHECK(judge("SET SCHEMA 'a'").name == "search_path");
  CHECK(judge("SET \"DATESTYLE\" = 'ISO'").name == "datestyle");
  CHECK(judge("RESET ALL").name == "");
  CHECK(judge("RESET ALL").kind == sql_kind::set);
  CHECK(judge("SET LOCAL a = b").kind == sql_kind::set_local);
  CHECK(judge("PREPARE \"P\" AS SELECT 1").name == "P");
  CHECK(judge("DEALLOCATE PREPARE p").name == "p");
  CHECK(judge("LISTEN News").name == "news");
  CHECK(judge("UNLISTEN *").name == "");
}

TEST_CASE("a name is cut behind a whole character, as the server cuts it", "[sql_effects]") {
  const std::string most(63, 'a');
  for (const std::string start : {"DEALLOCATE ", "DEALLOCATE PREPARE ", "EXECUTE ", "LISTEN ", "UNLISTEN "})
    CHECK(judge(start + most + "aaaaaaa").name == most);
  CHECK(judge("PREPARE " + most + "b AS SELECT 1").name == most);
  CHECK(judge("PREPARE p (" + most + "b) AS SELECT 1").names.contains(most));
  CHECK(judge("LISTEN " + most + "b").doubt == "");
  CHECK(judge("DEALLOCATE " + most).name == most);
  const std::string letters(61, 'a');
  CHECK(judge("DEALLOCATE \"" + letters + "\xc3\xa4\xc3\xb6\"").name == letters + "\xc3\xa4");
  CHECK(judge("DEALLOCATE \"" + letters + "\xe2\x82\xac\"").name == letters);
  CHECK(judge("DEALLOCATE \"" + letters + "b\xc3\xa4\"").name == letters + "b");
}

TEST_CASE("a role that only reads may not try what its rights do not cover", "[sql_effects]") {
  for (const std::string sql : {"SELECT 1", "SET a = b", "BEGIN", "PREPARE p AS SELECT 1", "LISTEN a", "SHOW all",
                                "EXPLAIN INSERT INTO t VALUES (1)", "FETCH 1 FROM c", "DISCARD ALL"})
    CHECK(may_be_read_only(judge(sql).kind));
  for (const std::string sql : {"INSERT INTO t VALUES (1)", "ALTER ROLE CURRENT_USER PASSWORD 'x'", "GRANT a TO b",
                                "DO $$ BEGIN END $$", "CREATE TABLE t (a int)", "COPY t TO PROGRAM 'x'", "NOTIFY a",
                                "CALL p()", "LOCK TABLE t", "VACUUM", "LOAD 'x'"})
    CHECK_FALSE(may_be_read_only(judge(sql).kind));
}
