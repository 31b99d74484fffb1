#include "cli/doctor_report_way.hpp"

#include "db/resolve.hpp"
#include "db/symptoms.hpp"

#include <algorithm>
#include <ctime>

namespace colloquy::cli {
namespace {

using nlohmann::ordered_json;
using namespace db::doctor;

std::string_view advice_for(std::string_view symptom) {
  const auto all = db::symptoms();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.id == symptom; });
  return found == all.end() ? std::string_view() : found->advice;
}

/// The table's advice for these words, "" if it has none.
std::string_view advice_for_words(std::string_view words) {
  const auto* known = db::find_symptom("", words);
  return known ? known->advice : std::string_view();
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts)
    out += (out.empty() ? "" : ", ") + part;
  return out;
}

// ---- configuration

void judge_keys(const configuration_facts& facts, probe_result& result) {
  if (facts.keys.empty())
    return;
  for (const auto& [setting, shape] : facts.keys) {
    result.say(setting + " is " + config::describe(shape));
    result.details["keys"].push_back({{"setting", setting},
                                      {"kind", config::to_string(shape.kind)},
                                      {"length", shape.length},
                                      {"fault", shape.fault ? ordered_json(*shape.fault) : ordered_json()}});
    if (shape.fault || shape.kind == config::key_kind::unknown) {
      result.worsen(probe_status::warn);
      result.advise("Copy " + setting + " anew from the dashboard (Settings, API keys), whole.");
    }
  }
  result.say("API keys are not used to connect: PostgreSQL needs the database password");
  if (facts.is_embedded) {
    result.worsen(probe_status::warn);
    result.advise("No database is set, so Colloquy runs one of its own. For the Supabase project set "
                  "SUPABASE_PROJECT_REF, SUPABASE_REGION and SUPABASE_DB_PASSWORD, or its whole connection string as "
                  "SUPABASE_SESSION_POOLER.");
  }
}

// ---- names and addresses

ordered_json details_of(const host_facts& host) {
  ordered_json details{{"host", host.host}, {"a", host.ipv4}, {"aaaa", host.ipv6}};
  if (!host.ipv4_failure.empty())
    details["a_failure"] = host.ipv4_failure;
  if (!host.ipv6_failure.empty())
    details["aaaa_failure"] = host.ipv6_failure;
  return details;
}

std::string records_text(const std::vector<std::string>& addresses, const std::string& failure) {
  return addresses.empty() ? "none (" + failure + ")" : joined(addresses);
}

void judge_name(const host_facts& host, probe_result& result) {
  result.details["hosts"].push_back(details_of(host));
  if (!host.is_name)
    return;
  result.say(host.host + " has A " + records_text(host.ipv4, host.ipv4_failure) + " and AAAA " +
             records_text(host.ipv6, host.ipv6_failure));
  if (host.ipv4.empty() && host.ipv6.empty()) {
    result.worsen(probe_status::warn);
    result.advise(host.ipv4_failure.starts_with("no answer")
                      ? "The name service does not answer: see /etc/resolv.conf and whether port 53 is let out."
                      : advice_for("host-not-found"));
  } else if (host.ipv4.empty()) {
    result.worsen(probe_status::warn);
    result.advise(db::family_note(host.host, host.ipv6, db::address_preference::any));
  }
}

std::string shown(const door_facts& door) {
  return door.family == address_family::unix_socket ? door.address + "/.s.PGSQL." + door.port
         : door.family == address_family::ipv6      ? "[" + door.address + "]:" + door.port
                                                    : door.address + ":" + door.port;
}

std::string_view family_name(address_family family) {
  switch (family) {
  case address_family::ipv4:
    return "IPv4";
  case address_family::ipv6:
    return "IPv6";
  case address_family::unix_socket:
    break;
  }
  return "unix socket";
}

bool has_open_door(const reach_facts& facts, const door_facts& like) {
  return std::any_of(facts.doors.begin(), facts.doors.end(), [&](const door_facts& each) {
    return each.is_open() && each.host == like.host && each.port == like.port;
  });
}

/// A door that is closed. libpq tries the host's next one, which costs time only where nothing answers at all.
void judge_closed(const door_facts& door, bool has_another_way, probe_result& result) {
  if (has_another_way && !door.timed_out)
    return;
  result.worsen(probe_status::warn);
  result.advise(has_another_way
                    ? "Every new connection may wait for " + door.address +
                          ", which does not answer: set address_family to the other family, or mend the way."
                    : std::string(advice_for_words(door.failure)));
}

// ---- TLS

constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t days_warned = 14;

std::string date_of(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32] = "";
  if (gmtime_r(&time, &parts))
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

ordered_json details_of(const tls_facts& facts) {
  ordered_json details{{"host", facts.host},       {"address", facts.address}, {"sslmode", facts.mode},
                       {"offered", facts.offered}, {"version", facts.version}, {"cipher", facts.cipher}};
  if (!facts.authorities.empty())
    details["authorities"] = facts.authorities;
  if (const auto& seen = facts.certificate)
    details["certificate"] = {{"subject", seen->subject},
                              {"issuer", seen->issuer},
                              {"names", seen->names},
                              {"valid_from", date_of(seen->valid_from)},
                              {"valid_until", date_of(seen->valid_until)},
                              {"days_left", (seen->valid_until - facts.now) / day_s},
                              {"authority_known", facts.authority_known},
                              {"name_fits", facts.name_fits},
                              {"in_time", facts.in_time}};
  return details;
}

/// One thing that is wrong with a certificate, and whether libpq will refuse it.
struct certificate_fault {
  std::string sentence;
  std::string_view advice;
  bool is_checked = false;
};

std::vector<certificate_fault> faults_of(const tls_facts& facts) {
  std::vector<certificate_fault> faults;
  const auto& seen = *facts.certificate;
  if (!facts.in_time)
    faults.push_back({facts.now < seen.valid_from ? "it is valid only from " + date_of(seen.valid_from) + " on"
                                                  : "it expired on " + date_of(seen.valid_until),
                      advice_for("tls-expired"), facts.checks_authority});
  if (!facts.authorities_failure.empty())
    faults.push_back({facts.authorities_failure, advice_for("tls-root-missing"), facts.checks_authority});
  else if (!facts.authority_known)
    faults.push_back({facts.authorities.empty() ? "there are no authorities to hold it against"
                                                : "no authority in " + facts.authorities + " has signed it",
                      advice_for("tls-unknown-authority"), facts.checks_authority});
  if (!facts.name_fits)
    faults.push_back(
        {"it is for " + (seen.names.empty() ? seen.subject : joined(seen.names)) + " and not for " + facts.host,
         advice_for("tls-wrong-name"), facts.checks_name});
  if (!facts.other_fault.empty())
    faults.push_back({facts.other_fault, advice_for("tls-failed"), facts.checks_authority});
  return faults;
}

void judge_certificate(const tls_facts& facts, probe_result& result) {
  const auto& seen = *facts.certificate;
  result.say("certificate of " + seen.subject + " by " + seen.issuer + " until " + date_of(seen.valid_until));
  std::string unchecked;
  for (const auto& fault : faults_of(facts)) {
    if (!fault.is_checked) {
      unchecked += (unchecked.empty() ? "" : ", ") + fault.sentence;
      continue;
    }
    result.worsen(probe_status::fail);
    result.say(fault.sentence);
    result.advise(fault.advice);
  }
  if (!unchecked.empty())
    result.say("with sslmode=" + facts.mode + " it is not checked that " + unchecked);
  const auto days = (seen.valid_until - facts.now) / day_s;
  if (facts.in_time && facts.checks_authority && days < days_warned) {
    result.worsen(probe_status::warn);
    result.say("which is in " + std::to_string(days) + " days");
    result.advise("Renew the server's certificate: after " + date_of(seen.valid_until) + " nobody gets in.");
  }
}

bool demands_tls(const tls_facts& facts) {
  return facts.mode == "require" || facts.mode.starts_with("verify-");
}

void judge_host(const tls_facts& facts, probe_result& result) {
  result.details["hosts"].push_back(details_of(facts));
  const auto bad = demands_tls(facts) ? probe_status::fail : probe_status::ok;
  if (facts.mode == "disable")
    return result.say(facts.host + " is used without TLS (sslmode=disable)");
  if (!facts.failure.empty()) {
    result.worsen(std::max(bad, probe_status::warn));
    result.say(facts.host + ": " + facts.failure);
    return result.advise(advice_for_words(facts.failure));
  }
  if (!facts.offered) {
    result.worsen(bad);
    result.say(facts.host + " offers no TLS" +
               (bad == probe_status::fail ? ", and sslmode=" + facts.mode + " demands it"
                                          : "; sslmode=" + facts.mode + " goes on without"));
    return bad == probe_status::fail ? result.advise(advice_for("tls-not-offered")) : void();
  }
  result.say(facts.host + " speaks " + facts.version + " with " + facts.cipher);
  if (facts.certificate)
    judge_certificate(facts, result);
}

} // namespace

probe_result judge_configuration(const configuration_facts& facts) {
  probe_result result{"configuration", probe_status::ok, facts.shown};
  result.say(facts.is_embedded ? facts.source : "from " + facts.source);
  result.details["source"] = facts.source;
  result.details["endpoint"] = facts.shown;
  if (facts.failure) {
    result.worsen(probe_status::fail);
    result.say(*facts.failure);
    const auto advice = advice_for_words(*facts.failure);
    result.advise(advice.empty() ? "Mend what is named here, and begin again." : advice);
  }
  if (!facts.warnings.empty()) {
    result.worsen(probe_status::warn);
    result.details["warnings"] = facts.warnings;
    for (const auto& warning : facts.warnings)
      result.advise(warning + ".");
  }
  if (facts.password_is_key) {
    result.worsen(probe_status::warn);
    result.say("the password is " + config::describe(*facts.password_is_key));
    result.advise("An API key is no password: take the database's own (Supabase: Settings, Database).");
  }
  judge_keys(facts, result);
  return result;
}

probe_result judge_names(const name_facts& facts) {
  if (facts.hosts.empty())
    return skipped("dns", "the host stands in a service file, which only libpq reads");
  probe_result result{"dns", probe_status::ok, ""};
  result.took = facts.took;
  bool has_address = false;
  for (const auto& host : facts.hosts) {
    judge_name(host, result);
    has_address = has_address || !host.is_name || !host.ipv4.empty() || !host.ipv6.empty();
  }
  if (!has_address)
    result.worsen(probe_status::fail);
  if (result.summary.empty())
    result.say("no names to look up");
  return result;
}

probe_result judge_reach(const reach_facts& facts) {
  if (facts.doors.empty())
    return skipped("tcp", "no address is known");
  probe_result result{"tcp", probe_status::ok, ""};
  result.took = facts.took;
  bool is_open = false;
  for (const auto& door : facts.doors) {
    result.say(shown(door) + (door.is_open() ? " open" : " " + door.failure) + " in " +
               std::to_string(door.took.count()) + " ms");
    result.details["addresses"].push_back({{"host", door.host},
                                           {"address", door.address},
                                           {"port", door.port},
                                           {"family", family_name(door.family)},
                                           {"open", door.is_open()},
                                           {"failure", door.failure},
                                           {"took_ms", door.took.count()}});
    is_open = is_open || door.is_open();
    if (!door.is_open())
      judge_closed(door, has_open_door(facts, door), result);
  }
  if (!is_open)
    result.worsen(probe_status::fail);
  return result;
}

probe_result judge_tls(const std::vector<tls_facts>& all) {
  probe_result result{"tls", probe_status::ok, ""};
  for (const auto& each : all) {
    judge_host(each, result);
    result.took += each.took;
  }
  return result;
}

probe_result judge_login(const login_facts& facts) {
  auto result = facts.failure ? failed("login", *facts.failure) : probe_result{"login", probe_status::ok, ""};
  result.took = facts.took;
  if (facts.failure)
    return result;
  result.say("as " + facts.user + " in " + facts.database + (facts.uses_tls ? ", encrypted" : ", not encrypted"));
  result.details = {{"user", facts.user}, {"database", facts.database}, {"encrypted", facts.uses_tls}};
  return result;
}

} // namespace colloquy::cli
