# cmake -DPAGE=index.html -DOUT=status_page_data.cc -P EmbedPage.cmake: a page as C++, with the
# Content-Security-Policy that lets its one <style> and its one <script> run, and nothing else.
cmake_minimum_required(VERSION 3.25)

# CMake knows SHA-256 in hexadecimal; the policy wants Base64: three hexadecimal digits are two of it.
function(base64_from_hex hex out)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(APPEND hex "00")  # 256 bits are 43 digits and a bit; the 44th becomes '='
  set(result "")
  foreach(i RANGE 0 63 3)
    string(SUBSTRING "${hex}" ${i} 3 digits)
    math(EXPR high "0x${digits} >> 6")
    math(EXPR low "0x${digits} & 63")
    string(SUBSTRING "${alphabet}" ${high} 1 first)
    string(SUBSTRING "${alphabet}" ${low} 1 second)
    string(APPEND result "${first}${second}")
  endforeach()
  string(SUBSTRING "${result}" 0 43 result)
  set(${out} "${result}=" PARENT_SCOPE)
endfunction()

function(hash_of tag out)
  string(FIND "${page}" "<${tag}>" begin)
  string(FIND "${page}" "</${tag}>" end)
  if(begin LESS 0 OR end LESS begin)
    message(FATAL_ERROR "${PAGE} has no <${tag}>")
  endif()
  string(LENGTH "<${tag}>" skip)
  math(EXPR begin "${begin} + ${skip}")
  math(EXPR length "${end} - ${begin}")
  string(SUBSTRING "${page}" ${begin} ${length} content)
  string(SHA256 hex "${content}")
  base64_from_hex("${hex}" hash)
  set(${out} "'sha256-${hash}'" PARENT_SCOPE)
endfunction()

file(READ "${PAGE}" page)
string(FIND "${page}" ")elephas\"" clash)
if(NOT clash EQUAL -1)
  message(FATAL_ERROR "${PAGE} holds the end of the string that it is put into")
endif()
hash_of(style style_hash)
hash_of(script script_hash)
set(policy "default-src 'none'; style-src ${style_hash}; script-src ${script_hash}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
file(WRITE "${OUT}" "// Made from ${PAGE} by cmake/EmbedPage.cmake.
#include \"paramserver/rest/status_page.h\"

namespace elephas {

const std::string_view kStatusPage = R\"elephas(${page})elephas\";
const std::string_view kStatusPagePolicy = \"${policy}\";

}  // namespace elephas
")
