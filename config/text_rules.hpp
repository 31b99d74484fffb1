// What texts may be: the sentences and the checks of the settings that are texts or paths.
#pragma once

#include "config/setting_kinds.hpp"

namespace colloquy::config {

/// Functions, not constants: the table may be asked for before another file's constants are made.
text_rule connection_rule();
text_rule identifier_rule();
text_rule table_prefix_rule();
text_rule user_rule();
text_rule application_name_rule();
text_rule path_rule();
text_rule optional_path_rule();
text_rule certificate_rule();
text_rule project_rule();
text_rule region_rule();
text_rule address_rule();
text_rule secret_rule();
text_rule profile_rule();
text_rule pool_mode_rule();
text_rule listen_rule();
text_rule origins_rule();
text_rule hosts_rule();
text_rule web_addresses_rule();
text_rule server_name_rule();
text_rule long_secret_rule();
text_rule claim_rule();
text_rule plain_text_rule();
text_rule optional_file_rule();

} // namespace colloquy::config
