# cmake -DTEXT=table.json -DNAME=kTable -DOUT=table_data.cc -P EmbedText.cmake: a text file as
# `extern const std::string_view elephas::NAME`.
cmake_minimum_required(VERSION 3.25)

file(READ "${TEXT}" text)
string(FIND "${text}" ")elephas\"" clash)
if(NOT clash EQUAL -1)
  message(FATAL_ERROR "${TEXT} holds the end of the string that it is put into")
endif()
file(WRITE "${OUT}" "// Made from ${TEXT} by cmake/EmbedText.cmake.
#include <string_view>

namespace elephas {

extern const std::string_view ${NAME};
const std::string_view ${NAME} = R\"elephas(${text})elephas\";

}  // namespace elephas
")
