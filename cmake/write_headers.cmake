# Run as a script by library.cmake: writes the headers named in LIST from SOURCE into FOLDER, as a host includes them.
file(READ ${LIST} headers)
file(REMOVE_RECURSE ${FOLDER})
foreach(header IN LISTS headers)
  file(READ ${SOURCE}/${header} text)
  string(REGEX REPLACE "#include \"([a-z]+/[a-z_]+\\.hpp)\"" "#include <colloquy/\\1>" text "${text}")
  string(REGEX REPLACE "^library/" "" place ${header}) # the umbrella
  file(WRITE ${FOLDER}/${place} "${text}")
endforeach()
