#include "config/settings.hpp"

#include "config/redact.hpp"
#include "config/setting_kinds.hpp"

#include <algorithm>

namespace colloquy::config {

namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::string_view small_letters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view digits = "0123456789";

bool is_one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

/// Lower case, digits and '_' only, so that the name means the same quoted and unquoted in SQL.
bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= 63 && !is_one_of(text.front(), digits) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_one_of(c, small_letters) || is_one_of(c, digits) || c == '_'; });
}

bool is_user(std::string_view text) {
  // The server refuses to run as root, so this is told before anything is started.
  return !text.empty() && text.size() <= 32 && (is_one_of(text.front(), small_letters) || text.front() == '_') &&
         text != "root" && std::all_of(text.begin(), text.end(), [](char c) {
           return is_one_of(c, small_letters) || is_one_of(c, digits) || c == '_' || c == '-';
         });
}

bool is_application_name(std::string_view text) {
  // PostgreSQL turns anything else into '?' and cuts at 63 bytes.
  return !text.empty() && text.size() <= 63 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_path(std::string_view text) {
  // A shell expands '~', a file does not; a folder of that name is never what was meant.
  return !text.empty() && text.front() != '~' && std::none_of(text.begin(), text.end(), is_control);
}

/// Only tells a connection string from something else; libpq judges the rest.
bool is_connection(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), is_control))
    return false;
  if (text.starts_with("postgresql://") || text.starts_with("postgres://"))
    return true;
  const auto keyword = text.substr(0, text.find_first_of("= "));
  return !keyword.empty() && text.find('=') != std::string_view::npos &&
         std::all_of(keyword.begin(), keyword.end(), [](char c) { return is_one_of(c, small_letters) || c == '_'; });
}

const text_rule connection_rule{"a postgresql:// URI or libpq's key=value pairs; empty for the embedded server",
                                is_connection};
const text_rule identifier_rule{"1 to 63 of a-z, 0-9 and _, not beginning with a digit", is_identifier};
const text_rule user_rule{"a user's name of 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or _, not root",
                          is_user};
const text_rule application_name_rule{"1 to 63 printable ASCII characters", is_application_name};
const text_rule path_rule{"not beginning with ~ (write ${HOME})", is_path};
const text_rule optional_path_rule{"not beginning with ~ (write ${HOME}); empty to look in the usual places", is_path};

environment_name in_ms(std::string name) {
  return {std::move(name), spelling::bare_milliseconds};
}

environment_name in_seconds(std::string name) {
  return {std::move(name), spelling::bare_seconds};
}

constexpr range<std::size_t> pool_range{1, 1000};
constexpr range<std::size_t> undurable_range{mebibyte, 64 * gibibyte};
constexpr range<milliseconds> call_range{100ms, 10min};
constexpr range<milliseconds> statement_range{100ms, 24h};

void add_database_settings(std::vector<setting_descriptor>& table) {
  table.push_back(optional_text_setting("database", &settings::database, connection_rule,
                                        "The PostgreSQL server to use; without one Colloquy runs its own.",
                                        {{"SUPABASE_SESSION_POOLER"}, {"POSTGRES_CONNECTION"}, {"DATABASE_URL"}}));
  table.back().secret = true;
  table.push_back(text_setting("schema", &settings::schema, identifier_rule, "The schema that holds Colloquy's tables.",
                               {{"SUPABASE_SCHEMA"}}));
  table.push_back(path_setting("data_dir", &settings::data_dir, "${HOME}/.local/share/colloquy", path_rule,
                               "The folder of the embedded server; unless set it is $XDG_DATA_HOME/colloquy, and where "
                               "that is not set either, .local/share/colloquy in the home folder."));
  table.push_back(optional_path_setting("postgres_bin_dir", &settings::postgres_bin_dir, optional_path_rule,
                                        "The folder of PostgreSQL's own programs (initdb, postgres), for the embedded "
                                        "server."));
  table.push_back(text_setting("embedded_user", &settings::embedded_user, user_rule,
                               "The system user that the embedded server runs as when Colloquy is started as root."));
}

void add_connection_settings(std::vector<setting_descriptor>& table) {
  table.push_back(level_setting("log_level", &settings::log_level, "The least level that is logged.", {{"LOG_LEVEL"}}));
  table.push_back(text_setting("application_name", &settings::application_name, application_name_rule,
                               "What PostgreSQL shows as the name of our connections, before the part that each plays.",
                               {{"PGAPPNAME"}}));
  table.push_back(count_setting("pool_min", &settings::pool_min, pool_range,
                                "How many connections are kept open at least; not more than pool_max, which its "
                                "default follows down.",
                                {{"DB_POOL_MIN"}}));
  table.push_back(count_setting("pool_max", &settings::pool_max, pool_range, "How many connections are open at most.",
                                {{"DB_POOL_MAX"}, {"POOL_SIZE"}}));
  table.push_back(duration_setting(
      "connect_timeout", &settings::connect_timeout, call_range,
      "How long connecting to the database, or waiting for a free connection, may take.",
      {in_ms("DB_POOL_CONNECTION_TIMEOUT"), in_ms("CONNECTION_TIMEOUT"), in_seconds("PGCONNECT_TIMEOUT")}));
  table.push_back(duration_setting("statement_timeout", &settings::statement_timeout, statement_range,
                                   "How long one SQL statement may run before PostgreSQL ends it.",
                                   {in_ms("STATEMENT_TIMEOUT")}));
  table.push_back(duration_setting("idle_in_transaction_timeout", &settings::idle_in_transaction_timeout,
                                   statement_range,
                                   "How long a transaction may be open and idle before PostgreSQL ends its connection.",
                                   {in_ms("IDLE_IN_TRANSACTION_TIMEOUT")}));
}

void add_writing_settings(std::vector<setting_descriptor>& table) {
  table.push_back(count_setting("batch_events_max", &settings::batch_events_max, {1000, 100'000},
                                "How many events one batch to the database holds at most."));
  table.push_back(size_setting("batch_bytes_max", &settings::batch_bytes_max, {64 * kibibyte, 256 * mebibyte},
                               "How large one batch to the database may grow."));
  table.push_back(count_setting("batches_in_flight_max", &settings::batches_in_flight_max, {1, 16},
                                "How many batches of one writer may await their commit at a time."));
  table.push_back(size_setting("undurable_bytes_max", &settings::undurable_bytes_max, undurable_range,
                               "How much may be accepted and not yet durable, over all sessions; past it callers are "
                               "told to retry."));
  table.push_back(size_setting("session_undurable_bytes_max", &settings::session_undurable_bytes_max, undurable_range,
                               "How much of one session may be accepted and not yet durable; not more than "
                               "undurable_bytes_max, which its default follows down."));
}

void add_session_settings(std::vector<setting_descriptor>& table) {
  table.push_back(count_setting("sessions_resident_max", &settings::sessions_resident_max, {1, 100'000'000},
                                "How many sessions may be in memory at a time."));
  table.push_back(duration_setting("session_idle_timeout", &settings::session_idle_timeout, {1s, 24h},
                                   "How long a session stays in memory after its last use."));
  table.push_back(duration_setting("request_timeout", &settings::request_timeout, call_range,
                                   "How long a request may take when its caller sets no deadline."));
  table.push_back(duration_setting("shutdown_timeout", &settings::shutdown_timeout, {100ms, 1h},
                                   "How long a shutdown waits for what is accepted to become durable."));
}

std::vector<setting_descriptor> make_table() {
  std::vector<setting_descriptor> table;
  add_database_settings(table);
  add_connection_settings(table);
  add_writing_settings(table);
  add_session_settings(table);
  return table;
}

} // namespace

std::string_view to_string(log_level level) noexcept {
  switch (level) {
  case log_level::trace:
    return "trace";
  case log_level::debug:
    return "debug";
  case log_level::info:
    return "info";
  case log_level::warn:
    return "warn";
  case log_level::error:
    return "error";
  }
  return "info";
}

std::span<const setting_descriptor> descriptors() {
  static const std::vector<setting_descriptor> table = make_table();
  return table;
}

const setting_descriptor* find_setting(std::string_view name) {
  for (const auto& each : descriptors()) {
    if (each.name == name)
      return &each;
  }
  return nullptr;
}

bool is_environment_name(std::string_view name) {
  return std::any_of(descriptors().begin(), descriptors().end(), [&](const setting_descriptor& each) {
    return std::any_of(each.environment.begin(), each.environment.end(),
                       [&](const environment_name& known) { return known.name == name; });
  });
}

std::string expected(const setting_descriptor& descriptor) {
  return kind_phrase(descriptor.kind) + ", " + descriptor.allowed;
}

std::string shown_value(const setting_descriptor& descriptor, const settings& values) {
  auto text = descriptor.write(values);
  return descriptor.secret ? redact_connection(text) : text;
}

} // namespace colloquy::config
