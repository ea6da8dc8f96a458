// docs/keras.md: what of Keras is supported, read off the tables that the program itself uses.
#pragma once

#include <string>

namespace elephas::keras {

std::string SupportedMarkdown();

}  // namespace elephas::keras
