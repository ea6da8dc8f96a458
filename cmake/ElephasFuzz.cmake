# elephas_add_fuzzer(NAME [LIBS target...] SOURCES file...): one libFuzzer program in fuzz/ (a source with
# LLVMFuzzerTestOneInput), built only with ELEPHAS_FUZZ. `make fuzz` runs each for a short time; a folder
# fuzz/corpus/NAME, where there is one, holds its seeds.
add_custom_target(elephas_fuzzers)
function(elephas_add_fuzzer name)
  if(NOT ELEPHAS_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} elephas_options)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzzers")
  add_dependencies(elephas_fuzzers ${name})
endfunction()
