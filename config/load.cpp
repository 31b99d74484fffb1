#include "config/load.hpp"

#include "config/assignments.hpp"
#include "config/expand.hpp"
#include "config/profile.hpp"
#include "config/redact.hpp"
#include "config/supabase.hpp"
#include "messages/nearest_name.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <system_error>

#include <unistd.h>

namespace colloquy::config {

namespace {

constexpr std::string_view own_prefix = "COLLOQUY_";

/// A value that some source gives for a setting.
struct candidate {
  std::string source;
  written_value value;
  spelling written = spelling::with_unit;
  bool counts_if_empty = true;
  std::string fault; ///< why its line could not be read
};

/// A container platform sets these for every service of the name `colloquy`; nobody wrote them.
bool is_set_by_platform(std::string_view name) {
  return name.starts_with("COLLOQUY_SERVICE_") || name == "COLLOQUY_PORT" || name.starts_with("COLLOQUY_PORT_");
}

std::string flag_to_name(std::string_view flag) {
  if (flag.starts_with("--"))
    flag.remove_prefix(2);
  std::string name(flag);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string name_to_flag(std::string_view name) {
  std::string flag = "--" + std::string(name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

/// The value as it may be shown. What a reference brought in is not shown: it may be a secret in a setting that is
/// none, so the reference stands for it.
std::string shown_written(const setting_descriptor& descriptor, const written_value& value) {
  auto text = as_written(value);
  const bool may_be_connection = text.find("://") != std::string::npos || text.find("password") != std::string::npos;
  return descriptor.secret == secrecy::none && may_be_connection ? redact_connection(text)
                                                                 : shown_text(descriptor, text);
}

class loader {
public:
  explicit loader(const sources& from)
    : from_(from) {}

  loaded run() {
    read_files();
    report_unknown_names();
    for (const auto& each : descriptors())
      read_setting(each);
    apply_profile();
    if (!is_given("acquire_timeout"))
      out_.values.acquire_timeout = out_.values.connect_timeout;
    find_database();
    fill_data_dir();
    fill_journal_path();
    make_absolute();
    check_bounds();
    return std::move(out_);
  }

private:
  void read_files() {
    if (from_.env_file)
      env_file_ = read_file(*from_.env_file, dialect::env_file);
    if (from_.file)
      file_ = read_file(*from_.file, dialect::own_file);
  }

  std::vector<assignment> read_file(const std::filesystem::path& path, dialect kind) {
    const auto text = read_settings_file(path);
    if (text)
      return parse_assignments(*text, kind);
    const bool own = kind == dialect::own_file;
    out_.mistakes.push_back(
        {own ? "config" : ".env", own ? "flag --config" : "environment file", path.string(), text.failure().message});
    return {};
  }

  std::string env_line(const assignment& each) const {
    return "file " + from_.env_file->string() + " line " + std::to_string(each.line) + " " + each.name;
  }

  std::string file_line(const assignment& each) const {
    return "file " + from_.file->string() + " line " + std::to_string(each.line);
  }

  void report_unknown_names() {
    for (const auto& [flag, value] : from_.flags) {
      if (find_setting(flag_to_name(flag)) == nullptr)
        report_unknown(flag, "flag", flag_to_name(flag), name_to_flag);
    }
    const auto own_name = [](std::string_view name) { return find_setting(name)->environment.front().name; };
    for (const auto& [name, value] : from_.environment) {
      if (is_unknown_own(name))
        report_unknown(name, "environment", lower_tail(name), own_name);
    }
    for (const auto& each : env_file_) {
      if (is_unknown_own(each.name))
        report_unknown(each.name, env_line(each), lower_tail(each.name), own_name);
    }
    report_file_lines();
  }

  /// The settings file is ours alone, so every line of it must be a setting, once.
  void report_file_lines() {
    std::map<std::string, std::size_t> seen;
    for (const auto& each : file_) {
      const auto* setting = find_setting(each.name);
      if (each.name.empty())
        out_.mistakes.push_back({"line " + std::to_string(each.line), file_line(each), std::nullopt, each.fault});
      else if (setting == nullptr)
        report_unknown(each.name, file_line(each), flag_to_name(each.name),
                       [](std::string_view n) { return std::string(n); });
      else if (const auto [first, is_new] = seen.emplace(each.name, each.line); !is_new)
        out_.mistakes.push_back({each.name, file_line(each), std::nullopt,
                                 "is given on line " + std::to_string(first->second) + " already"});
    }
  }

  static bool is_unknown_own(std::string_view name) {
    return name.starts_with(own_prefix) && !is_environment_name(name) && !is_set_by_platform(name);
  }

  static std::string lower_tail(std::string_view name) {
    std::string tail(name.substr(own_prefix.size()));
    std::transform(tail.begin(), tail.end(), tail.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return tail;
  }

  /// `as_name`: the wrong name as it would stand in the file; `spell` turns a setting's name into what to write here.
  template <class Spell>
  void report_unknown(const std::string& wrong, std::string source, const std::string& as_name, Spell spell) {
    std::vector<std::string_view> known;
    for (const auto& each : descriptors())
      known.emplace_back(each.name);
    const auto meant = nearest_name(as_name, known);
    // The value is not shown: a misspelt name says nothing about whether it is a secret.
    out_.mistakes.push_back(
        {wrong, std::move(source), std::nullopt,
         "there is no such setting" + (meant.empty() ? "" : ", did you mean " + spell(std::string(meant)) + "?")});
  }

  void read_setting(const setting_descriptor& descriptor) {
    for (const auto& each : candidates(descriptor)) {
      if (!each.fault.empty())
        return refuse(descriptor, each, std::nullopt, each.fault);
      const auto text = expander(from_.environment, env_file_).expand(each.value);
      if (!text)
        return refuse(descriptor, each, shown_written(descriptor, each.value), text.failure().message);
      if (text->empty() && !each.counts_if_empty)
        continue;
      const auto read = descriptor.read(out_.values, *text, each.written);
      if (!read)
        return refuse(descriptor, each, shown_written(descriptor, each.value), "must be " + read.failure().message);
      given_[std::string(descriptor.name)] = each.source;
      return;
    }
  }

  void refuse(const setting_descriptor& descriptor, const candidate& from, std::optional<std::string> shown,
              std::string explanation) {
    given_[std::string(descriptor.name)] = from.source;
    refused_.emplace_back(descriptor.name);
    out_.mistakes.push_back({std::string(descriptor.name), from.source, std::move(shown), std::move(explanation)});
  }

  /// All values given for a setting, the one that wins first.
  std::vector<candidate> candidates(const setting_descriptor& descriptor) const {
    std::vector<candidate> all;
    for (auto flag = from_.flags.rbegin(); flag != from_.flags.rend(); ++flag) {
      if (flag_to_name(flag->first) == descriptor.name)
        all.push_back({"flag " + name_to_flag(descriptor.name), {{flag->second, true}}, {}, true, {}});
    }
    for (const auto& name : descriptor.environment) {
      if (const auto found = from_.environment.find(name.name); found != from_.environment.end())
        all.push_back({"environment " + name.name, {{found->second, true}}, name.written, name.is_own(), {}});
    }
    for (const auto& name : descriptor.environment) {
      // As in a shell that reads the file, the last of several wins.
      const auto found = std::find_if(env_file_.rbegin(), env_file_.rend(),
                                      [&](const assignment& each) { return each.name == name.name; });
      if (found != env_file_.rend())
        all.push_back({env_line(*found), found->value, name.written, name.is_own(), found->fault});
    }
    for (const auto& each : file_) {
      if (each.name == descriptor.name)
        all.push_back({file_line(each), each.value, {}, true, each.fault});
    }
    return all;
  }

  /// What nobody gave takes the profile's value.
  void apply_profile() {
    const auto values = parse_profile(out_.values.profile);
    for (const auto& each : values ? *values : std::vector<profile_value>{}) {
      if (is_given(each.setting))
        continue;
      // The tests hold every profile's values against the ranges.
      if (find_setting(each.setting)->read(out_.values, each.text, spelling::with_unit))
        profiled_.emplace(each.setting);
    }
  }

  /// Without a connection, one may be built; with one, what is said about it must be true.
  void find_database() {
    constexpr std::array<std::string_view, 5> pieces{"connection_type", "supabase_project_ref", "supabase_url",
                                                     "supabase_region", "supabase_db_password"};
    if (std::any_of(pieces.begin(), pieces.end(), [this](auto each) { return is_refused(each); }))
      return;
    if (is_given("database")) {
      add_supabase_mistakes(contradictions(out_.values));
      return;
    }
    auto built = build_supabase(out_.values);
    if (!built.mistakes.empty())
      refused_.emplace_back("database"); // there is to be one, so no other must be missed
    add_supabase_mistakes(built.mistakes);
    out_.values.database = std::move(built.uri);
  }

  void add_supabase_mistakes(const std::vector<supabase_mistake>& mistakes) {
    for (const auto& each : mistakes) {
      const auto& setting = *find_setting(each.setting);
      auto value = shown_value(setting, out_.values);
      out_.mistakes.push_back({std::string(each.setting), source_of(each.setting),
                               is_given(each.setting) ? std::optional(std::move(value)) : std::nullopt,
                               each.explanation});
    }
  }

  /// An absolute path from the environment; the XDG specification says to ignore relative ones.
  std::optional<std::filesystem::path> folder_of(const std::string& name) const {
    const auto found = from_.environment.find(name);
    if (found == from_.environment.end() || !found->second.starts_with('/'))
      return std::nullopt;
    return std::filesystem::path(found->second);
  }

  void fill_data_dir() {
    if (is_given("data_dir"))
      return;
    if (const auto data = folder_of("XDG_DATA_HOME"))
      out_.values.data_dir = *data / "colloquy";
    else if (const auto home = folder_of("HOME"))
      out_.values.data_dir = *home / ".local" / "share" / "colloquy";
    else if (!out_.values.database && !is_refused("database"))
      out_.mistakes.push_back({"data_dir", "default", std::nullopt,
                               "neither XDG_DATA_HOME nor HOME is an absolute path; set --data-dir, or --database"});
  }

  void fill_journal_path() {
    auto& values = out_.values;
    if (!values.journal || values.journal_path)
      return;
    if (!values.data_dir.empty())
      values.journal_path = values.data_dir / "journal.db";
    else if (values.database) // else the data folder is a mistake already
      out_.mistakes.push_back(
          {"journal_path", "default", std::nullopt,
           "neither XDG_DATA_HOME nor HOME is an absolute path; set --journal-path, or --data-dir"});
  }

  /// The embedded server's programs run in another working directory.
  void make_absolute() {
    const auto absolute = [](std::filesystem::path& path) {
      std::error_code fault;
      if (auto whole = std::filesystem::absolute(path, fault); !fault && !path.empty())
        path = whole.lexically_normal();
    };
    absolute(out_.values.data_dir);
    for (auto* path : {&out_.values.postgres_bin_dir, &out_.values.journal_path, &out_.values.tls_certificate,
                       &out_.values.tls_key, &out_.values.jwt_jwks_file})
      if (*path)
        absolute(**path);
    if (auto& authorities = out_.values.ssl_root_cert; authorities && *authorities != "system")
      absolute(*authorities);
  }

  bool is_given(std::string_view name) const { return given_.contains(std::string(name)); }

  std::string source_of(std::string_view name) const {
    if (const auto found = given_.find(std::string(name)); found != given_.end())
      return found->second;
    return profiled_.contains(std::string(name)) ? "profile " + out_.values.profile : "default";
  }

  bool is_refused(std::string_view name) const {
    return std::find(refused_.begin(), refused_.end(), name) != refused_.end();
  }

  void check_bounds() {
    check_at_most("pool_min", &settings::pool_min, "pool_max", &settings::pool_max);
    check_at_most("reconnect_delay_first", &settings::reconnect_delay_first, "reconnect_delay_max",
                  &settings::reconnect_delay_max);
    check_at_most("tenant_waiters_max", &settings::tenant_waiters_max, "pool_waiters_max", &settings::pool_waiters_max);
    if (is_given("tenant_undurable_bytes_max"))
      check_at_most("tenant_undurable_bytes_max", &settings::tenant_undurable_bytes_max, "undurable_bytes_max",
                    &settings::undurable_bytes_max);
    check_at_most("session_undurable_bytes_max", &settings::session_undurable_bytes_max, "undurable_bytes_max",
                  &settings::undurable_bytes_max);
    if (is_given("tenant_undurable_bytes_max"))
      check_at_most("session_undurable_bytes_max", &settings::session_undurable_bytes_max, "tenant_undurable_bytes_max",
                    &settings::tenant_undurable_bytes_max);
    else // half of it all, but no less than one session may have
      out_.values.tenant_undurable_bytes_max =
          std::max(out_.values.undurable_bytes_max / 2, out_.values.session_undurable_bytes_max);
  }

  /// A default gives way to a value that somebody wrote; two written values must agree.
  template <class T>
  void check_at_most(const std::string& name, T settings::*member, const std::string& bound,
                     T settings::*bound_member) {
    auto& value = out_.values.*member;
    const auto most = out_.values.*bound_member;
    if (value <= most || is_refused(name) || is_refused(bound))
      return;
    if (!is_given(name)) {
      value = most;
      return;
    }
    out_.mistakes.push_back({name, given_.at(name), find_setting(name)->write(out_.values),
                             "must be at most " + bound + ", which is " + find_setting(bound)->write(out_.values) +
                                 " (" + source_of(bound) + ")"});
  }

  const sources& from_;
  loaded out_;
  std::vector<assignment> env_file_;
  std::vector<assignment> file_;
  std::map<std::string, std::string> given_; ///< setting to source, for those that some source gives
  std::set<std::string> profiled_;           ///< settings that have their value from the profile
  std::vector<std::string> refused_;
};

/// A terminal must not be steered, nor a log line broken, by what stands in a setting.
std::string printable(std::string_view text) {
  constexpr std::size_t shown_max = 200;
  std::string shown(text.substr(0, shown_max));
  std::replace_if(
      shown.begin(), shown.end(),
      [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f;
      },
      '?');
  return text.size() > shown_max ? shown + "..." : shown;
}

} // namespace

sources sources_of_process() {
  sources found;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view entry(*each);
    if (const auto equals = entry.find('='); equals != std::string_view::npos)
      found.environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  std::error_code fault;
  if (std::filesystem::exists(".env", fault) && !std::filesystem::is_directory(".env", fault))
    found.env_file = ".env";
  return found;
}

std::string format(const mistake& each) {
  return printable(each.setting) + (each.value ? " = \"" + printable(*each.value) + "\"" : "") + " (" +
         printable(each.source) + "): " + each.explanation;
}

loaded load(const sources& from) {
  return loader(from).run();
}

} // namespace colloquy::config
