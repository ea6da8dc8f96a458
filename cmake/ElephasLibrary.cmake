# elephas_add_library(NAME SOURCES file... [PUBLIC target...] [PRIVATE target...]): the static library
# elephas_NAME, called elephas::NAME, of one folder. Its sources are compiled a few at a time as one
# (ELEPHAS_UNITY), because headers cost more than our own code; one that needs options of its own is left out
# with SKIP_UNITY_BUILD_INCLUSION.
function(elephas_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(elephas_${name} STATIC ${ARG_SOURCES})
  add_library(elephas::${name} ALIAS elephas_${name})
  target_link_libraries(elephas_${name} PUBLIC elephas_options ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  set_target_properties(elephas_${name} PROPERTIES UNITY_BUILD ${ELEPHAS_UNITY} UNITY_BUILD_BATCH_SIZE 12)
  if(ELEPHAS_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC takes what a source file that is included keeps to itself for a header's.
    target_compile_options(elephas_${name} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

# elephas_add_libraries(NAME target...): elephas::NAME, which stands for several.
function(elephas_add_libraries name)
  add_library(elephas_${name} INTERFACE)
  add_library(elephas::${name} ALIAS elephas_${name})
  target_link_libraries(elephas_${name} INTERFACE ${ARGN})
endfunction()
