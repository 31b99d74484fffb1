# libjwt ships a pkg-config file only. From 2 on its interface is another one (and 3.0 to 3.3.2 take a forged HS256 token
# for a key set's RSA key), so those are not taken for it.
find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(PC_JWT QUIET "libjwt>=1.10" "libjwt<2")
endif()
find_path(JWT_INCLUDE_DIR jwt.h HINTS ${PC_JWT_INCLUDE_DIRS})
find_library(JWT_LIBRARY jwt HINTS ${PC_JWT_LIBRARY_DIRS})
set(JWT_VERSION ${PC_JWT_libjwt_VERSION})
if(NOT JWT_VERSION)
  set(JWT_VERSION ${PC_JWT_VERSION})
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(JWT REQUIRED_VARS JWT_LIBRARY JWT_INCLUDE_DIR PC_JWT_FOUND VERSION_VAR JWT_VERSION)
if(JWT_FOUND AND NOT TARGET JWT::JWT)
  add_library(JWT::JWT UNKNOWN IMPORTED)
  set_target_properties(JWT::JWT PROPERTIES
    IMPORTED_LOCATION ${JWT_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${JWT_INCLUDE_DIR})
endif()
mark_as_advanced(JWT_INCLUDE_DIR JWT_LIBRARY)
