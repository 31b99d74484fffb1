# What every target of ours is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# -O3 buys nothing measurable here and costs build time.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Without the first, ccache keeps nothing that is compiled with a precompiled header; with the second, what one clone
  # has compiled serves another, whose paths differ.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
                                  ${CCACHE_PROGRAM})
endif()

# Warnings are errors in our own code; the libraries' headers are SYSTEM and exempt.
add_library(colloquy_build_settings INTERFACE)
target_compile_options(colloquy_build_settings INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor
                                                         -Wold-style-cast -Wcast-qual -Wconversion -fno-omit-frame-pointer)
target_include_directories(colloquy_build_settings INTERFACE ${CMAKE_SOURCE_DIR})

# Optimising, GCC 12 to 14 see copies inside std::string's own operator+ that overlap or leave the object (GCC bug
# 105651 and its kin); in our code the asan preset finds such copies for certain.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(colloquy_build_settings INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
endif()

# Precompiled headers and ccache agree only with these.
if(CCACHE_PROGRAM AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(colloquy_build_settings INTERFACE -fpch-preprocess)
endif()

if(COLLOQUY_SANITIZE)
  # CAF 0.17's headers form null references on purpose, hence -fno-sanitize=null.
  set(sanitizers -fsanitize=address,undefined -fno-sanitize=null -fno-sanitize-recover=all)
  add_compile_options(${sanitizers} -g -O1)
  add_link_options(${sanitizers})
endif()

# First of all libraries, so that its malloc is taken for the C library's: what one thread allocates another frees here,
# message by message, and glibc's spends a third of the processor's time on that. Sanitizers bring their own.
function(colloquy_allocate_with_mimalloc program)
  if(NOT COLLOQUY_SANITIZE)
    target_link_libraries(${program} PRIVATE -Wl,--no-as-needed mimalloc -Wl,--as-needed)
  endif()
endfunction()
