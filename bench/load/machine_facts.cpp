#include "bench/load/machine_facts.hpp"

#include "db/libpq_handles.hpp"

#include <sys/utsname.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace colloquy::load {
namespace {

std::string value_in(const char* file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name)) {
      const auto at = line.find_first_not_of(" \t:", name.size());
      return at == std::string::npos ? "" : line.substr(at);
    }
  return "";
}

std::string load_average() {
  std::ifstream file("/proc/loadavg");
  std::string one;
  file >> one;
  return one;
}

std::string memory() {
  const auto kb = std::strtoull(value_in("/proc/meminfo", "MemTotal").c_str(), nullptr, 10);
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(kb) / (1 << 20));
  return text;
}

std::string scalar(PGconn* connection, const std::string& sql) {
  const db::result_ptr answer(PQexec(connection, sql.c_str()));
  if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK || PQntuples(answer.get()) == 0)
    return "";
  return PQgetvalue(answer.get(), 0, 0);
}

} // namespace

facts machine_facts() {
  utsname kernel{};
  ::uname(&kernel);
  facts found{{"kernel", std::string(kernel.sysname) + " " + kernel.release + " " + kernel.machine},
              {"cores", std::to_string(std::thread::hardware_concurrency())},
              {"memory", memory()},
              {"load", load_average()}};
  if (const auto model = value_in("/proc/cpuinfo", "model name"); !model.empty())
    found.insert(found.begin() + 1, {"processor", model});
  return found;
}

facts server_facts(const std::string& conninfo, const std::string& schema) {
  facts found;
  const db::connection_ptr connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK)
    return found;
  for (const auto* name : {"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level",
                           "wal_sync_method", "shared_buffers", "wal_buffers", "max_wal_size"})
    found.emplace_back(name, scalar(connection.get(), std::string("SELECT current_setting('") + name + "')"));
  const std::unique_ptr<char, decltype(&PQfreemem)> literal(
      PQescapeLiteral(connection.get(), schema.c_str(), schema.size()), &PQfreemem);
  const auto forced = scalar(connection.get(), std::string("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class"
                                                           " WHERE relname = 'events' AND relnamespace = (SELECT oid"
                                                           " FROM pg_namespace WHERE nspname = ") +
                                                   literal.get() + ")");
  found.emplace_back("row_level_security", forced == "t" ? "forced" : "not forced");
  return found;
}

int local_server_pid(const std::string& conninfo) {
  const db::connection_ptr connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK || PQhost(connection.get())[0] != '/')
    return 0;
  const auto backend = std::to_string(PQbackendPID(connection.get()));
  if (value_in(("/proc/" + backend + "/status").c_str(), "Name") != "postgres")
    return 0;
  return std::atoi(value_in(("/proc/" + backend + "/status").c_str(), "PPid").c_str());
}

} // namespace colloquy::load
