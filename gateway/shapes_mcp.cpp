// What is answered about the Model Context Protocol's authorization.
#include "gateway/shapes.hpp"

namespace colloquy::gateway::shapes {
namespace {

constexpr field_rule metadata_fields[] = {
    {.name = "resource", .is_required = true, .about = "What a token's aud must name."},
    {.name = "authorization_servers", .kind = field_kind::text_list, .about = "Who gives tokens."},
    {.name = "scopes_supported", .kind = field_kind::text_list, .is_required = true},
    {.name = "bearer_methods_supported", .kind = field_kind::text_list, .is_required = true},
    {.name = "resource_name", .is_required = true, .about = "For people."},
};

} // namespace

const shape_rule resource_metadata{"ResourceMetadata", "OAuth 2.0 Protected Resource Metadata.", metadata_fields};

} // namespace colloquy::gateway::shapes
