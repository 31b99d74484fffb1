// The settings of the edge: HTTP, and who may call.
#include "config/setting_kinds.hpp"
#include "config/settings_table.hpp"
#include "config/text_rules.hpp"

namespace colloquy::config {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr range<milliseconds> client_range{100ms, 1h};

void add_listening_settings(std::vector<setting_descriptor>& table) {
  table.push_back(text_setting("listen", &settings::listen, listen_rule(),
                               "Where HTTP is served. Anything but this machine alone needs keys or tokens to exist, "
                               "else it is refused."));
  table.push_back(optional_path_setting("tls_certificate", &settings::tls_certificate, optional_file_rule(),
                                        "The certificate chain that HTTP is served with, PEM; read again on SIGHUP. "
                                        "Without it HTTP is not encrypted."));
  table.push_back(optional_path_setting("tls_key", &settings::tls_key, optional_file_rule(),
                                        "The private key of tls_certificate, PEM; read again on SIGHUP."));
  table.push_back(optional_text_setting("cors_origins", &settings::cors_origins, origins_rule(),
                                        "The web origins whose pages may call."));
  table.push_back(bool_setting("access_log", &settings::access_log,
                               "Whether each request is logged: who, what, status, bytes, time; never a body or a "
                               "key."));
}

void add_caller_settings(std::vector<setting_descriptor>& table) {
  const auto add_secret = [&](std::string_view name, std::optional<std::string> settings::*member,
                              std::string_view meaning, names older) {
    table.push_back(optional_text_setting(name, member, long_secret_rule(), meaning, std::move(older)));
    table.back().secret = secrecy::whole;
  };
  add_secret("admin_key", &settings::admin_key,
             "The key that makes tenants and their first keys; unless set, one is made at the first start and shown "
             "once.",
             {});
  add_secret("jwt_secret", &settings::jwt_secret, "The secret that HS256 tokens are signed with.", {{"JWT_SECRET"}});
  table.push_back(optional_path_setting("jwt_jwks_file", &settings::jwt_jwks_file, optional_file_rule(),
                                        "A JSON Web Key Set with the public keys of RS256 and ES256 tokens; read "
                                        "again on SIGHUP."));
  table.push_back(
      optional_text_setting("jwt_issuer", &settings::jwt_issuer, plain_text_rule(), "What a token's iss must be."));
  table.push_back(optional_text_setting("jwt_audience", &settings::jwt_audience, plain_text_rule(),
                                        "What a token's aud must name."));
  table.push_back(text_setting("jwt_tenant_claim", &settings::jwt_tenant_claim, claim_rule(),
                               "The claim that names a token's tenant."));
}

void add_mcp_settings(std::vector<setting_descriptor>& table) {
  table.push_back(text_setting("mcp_server_name", &settings::mcp_server_name, server_name_rule(),
                               "The name that clients of the Model Context Protocol are shown.",
                               {{"MCP_SERVER_NAME"}}));
  table.push_back(count_setting("mcp_server_port", &settings::mcp_server_port, {0, 65'535},
                                "A port of 127.0.0.1 where HTTP is served, too, for clients of /mcp; 0 for none.",
                                {{"MCP_SERVER_PORT"}}));
  table.push_back(optional_text_setting("mcp_allowed_hosts", &settings::mcp_allowed_hosts, hosts_rule(),
                                        "The names that /mcp may be asked for under, beside those of this machine."));
  table.push_back(optional_text_setting("mcp_allowed_origins", &settings::mcp_allowed_origins, origins_rule(),
                                        "The web origins whose pages may call /mcp, beside those of this machine and "
                                        "of cors_origins."));
  table.push_back(optional_text_setting("mcp_resource_url", &settings::mcp_resource_url, web_addresses_rule(),
                                        "The address of /mcp as clients write it, which a token for it must name in "
                                        "its aud; unless set it is the name that is asked for with the port that is "
                                        "listened on, so it is needed behind a proxy."));
  table.push_back(optional_text_setting("mcp_authorization_servers", &settings::mcp_authorization_servers,
                                        web_addresses_rule(),
                                        "Who gives tokens for /mcp, as clients are told; unless set "
                                        "it is jwt_issuer, if that is an address."));
}

void add_request_settings(std::vector<setting_descriptor>& table) {
  table.push_back(count_setting("http_connections_max", &settings::http_connections_max, {1, 1'000'000},
                                "How many HTTP connections may be open at a time."));
  table.push_back(count_setting("tenant_connections_max", &settings::tenant_connections_max, {1, 1'000'000},
                                "How many of them may be one tenant's, unless its quota says less."));
  table.push_back(count_setting("streams_max", &settings::streams_max, {1, 1'000'000},
                                "How many event streams and long polls may be open at a time."));
  table.push_back(size_setting("http_header_bytes_max", &settings::http_header_bytes_max, {4 * kibibyte, mebibyte},
                               "How large a request's line and header fields may be together."));
  table.push_back(size_setting("body_bytes_max", &settings::body_bytes_max, {kibibyte, 256 * mebibyte},
                               "How large a request's body may be."));
  table.push_back(size_setting("message_bytes_max", &settings::message_bytes_max, {kibibyte, 4 * mebibyte},
                               "How large one message or event may be."));
  table.push_back(size_setting("metadata_bytes_max", &settings::metadata_bytes_max, {2, 64 * kibibyte},
                               "How large a session's metadata may be."));
  table.push_back(size_setting("document_bytes_max", &settings::document_bytes_max, {kibibyte, mebibyte},
                               "How large one document may be."));
  table.push_back(size_setting("response_compress_bytes_min", &settings::response_compress_bytes_min,
                               {0, 256 * mebibyte},
                               "From which size on a reply is compressed for a client that takes it; 0 for never."));
  table.push_back(duration_setting("http_request_read_timeout", &settings::http_request_read_timeout, client_range,
                                   "How long a client may take to send one request."));
  table.push_back(duration_setting("http_write_timeout", &settings::http_write_timeout, client_range,
                                   "How long a client may take to read what is sent to it, without any progress."));
  table.push_back(duration_setting("http_idle_timeout", &settings::http_idle_timeout, client_range,
                                   "How long a connection may be open between two requests."));
}

} // namespace

void add_edge_settings(std::vector<setting_descriptor>& table) {
  add_listening_settings(table);
  add_caller_settings(table);
  add_request_settings(table);
  add_mcp_settings(table);
}

} // namespace colloquy::config
