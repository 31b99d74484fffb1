#include "config/text_rules.hpp"

#include "config/listen_address.hpp"
#include "config/profile.hpp"

namespace colloquy::config {

namespace {

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

/// The longest that follows a prefix is variable_tag_associations and what stands behind that: of 63 bytes, which is
/// where PostgreSQL cuts names, 26 must be left for those tables to have different names.
bool is_table_prefix(std::string_view text) {
  return is_identifier(text) && text.size() <= 37;
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

/// A project's reference, or a region's name: a part of a host's name.
bool is_host_part(std::string_view text) {
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
    return is_one_of(c, small_letters) || is_one_of(c, digits) || c == '-';
  });
}

/// Whether it names a project is judged where it is needed: who has another database may have anything here.
bool is_address(std::string_view text) {
  return text.size() <= 2048 && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

bool is_secret(std::string_view text) {
  return text.size() <= 8192 && std::none_of(text.begin(), text.end(), is_control);
}

bool is_profile(std::string_view text) {
  return parse_profile(text).has_value();
}

bool is_session_mode(std::string_view text) {
  return text == "session";
}

bool is_listen(std::string_view text) {
  return parse_listen_addresses(text).has_value();
}

/// A list of origins, as browsers send them, or a star alone.
bool is_origins(std::string_view text) {
  if (text == "*")
    return true;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto origin = text.substr(0, comma);
    const auto scheme = origin.find("://");
    const bool is_web = origin.starts_with("http://") || origin.starts_with("https://");
    if (!is_web || origin.size() == scheme + 3 || origin.find_first_of("/ *", scheme + 3) != std::string_view::npos ||
        std::any_of(origin.begin(), origin.end(), is_control))
      return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

/// Names or addresses, without ports.
bool is_hosts(std::string_view text) {
  return text.size() <= 2048 && text.find(",,") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_one_of(c, small_letters) || is_one_of(c, digits) ||
                  is_one_of(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._[]:,");
         });
}

bool is_server_name(std::string_view text) {
  return !text.empty() && is_application_name(text);
}

bool is_web_addresses(std::string_view text) {
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto each = text.substr(0, comma);
    if ((!each.starts_with("http://") && !each.starts_with("https://")) || !is_address(each))
      return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

bool is_long_secret(std::string_view text) {
  return text.size() >= 32 && is_secret(text);
}

bool is_plain_text(std::string_view text) {
  return text.size() <= 2048 && std::none_of(text.begin(), text.end(), is_control);
}

bool is_claim(std::string_view text) {
  return !text.empty() && text.size() <= 255 && is_plain_text(text);
}

} // namespace

text_rule connection_rule() {
  return {"a postgresql:// URI or libpq's key=value pairs; empty for the embedded server", is_connection};
}

text_rule identifier_rule() {
  return {"1 to 63 of a-z, 0-9 and _, not beginning with a digit", is_identifier};
}

text_rule table_prefix_rule() {
  return {"1 to 37 of a-z, 0-9 and _, not beginning with a digit", is_table_prefix};
}

text_rule user_rule() {
  return {"a user's name of 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or _, not root", is_user};
}

text_rule application_name_rule() {
  return {"1 to 63 printable ASCII characters", is_application_name};
}

text_rule path_rule() {
  return {"not beginning with ~ (write ${HOME})", is_path};
}

text_rule optional_path_rule() {
  return {"not beginning with ~ (write ${HOME}); empty to look in the usual places", is_path};
}

text_rule certificate_rule() {
  return {"a file of certificates, or system for those that this machine trusts; not beginning with ~ (write ${HOME}); "
          "empty for libpq's own, ${HOME}/.postgresql/root.crt",
          is_path};
}

text_rule project_rule() {
  return {"1 to 63 of a-z, 0-9 and -, as it stands in the project's address; empty for none", is_host_part};
}

text_rule region_rule() {
  return {"as us-east-1, or with its pooler's number as aws-1-us-east-1; empty for none", is_host_part};
}

text_rule address_rule() {
  return {"the project's address, as https://REF.supabase.co; empty for none", is_address};
}

text_rule secret_rule() {
  return {"without line breaks or other control characters; empty for none", is_secret};
}

text_rule profile_rule() {
  return {"at most one of small, medium and large, and at most one of interactive, monitoring, batch and persistent, "
          "with a comma between them; empty for none",
          is_profile};
}

text_rule pool_mode_rule() {
  return {"only session: in transaction mode settings, prepared statements, LISTEN and locks are lost between "
          "transactions; a session pooler's port is 5432",
          is_session_mode};
}

text_rule listen_rule() {
  return {"HOST:PORT, [IPV6]:PORT or unix:/PATH; several with a comma between them, eight at most", is_listen};
}

text_rule origins_rule() {
  return {"origins as https://app.example.com with commas between them, or * alone; empty for none", is_origins};
}

text_rule hosts_rule() {
  return {"names of hosts with commas between them, without ports; empty for none", is_hosts};
}

text_rule web_addresses_rule() {
  return {"addresses as https://auth.example.com/realm with commas between them; empty for none", is_web_addresses};
}

text_rule server_name_rule() {
  return {"1 to 63 printable ASCII characters", is_server_name};
}

text_rule long_secret_rule() {
  return {"at least 32 characters, none of them a line break or another control character; empty for none",
          is_long_secret};
}

text_rule claim_rule() {
  return {"a claim's name of 1 to 255 bytes", is_claim};
}

text_rule plain_text_rule() {
  return {"without control characters; empty for none", is_plain_text};
}

text_rule optional_file_rule() {
  return {"a file; not beginning with ~ (write ${HOME}); empty for none", is_path};
}

} // namespace colloquy::config
