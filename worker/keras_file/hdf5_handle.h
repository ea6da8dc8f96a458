// Owners of HDF5's identifiers. Only hdf5_*.cc include this.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <utility>

namespace elephas::keras_file {

// Closes with `close` when it goes out of scope; negative means none.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Handle(const Hdf5Handle&) = delete;
  Hdf5Handle& operator=(const Hdf5Handle&) = delete;
  Hdf5Handle& operator=(Hdf5Handle&&) = delete;
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  [[nodiscard]] bool ok() const { return id_ >= 0; }
  [[nodiscard]] hid_t id() const { return id_; }

 private:
  hid_t id_;
  Close close_;
};

// Held while the library is used: it is not thread-safe. Also while a child is forked that will use
// it, so that the child finds the library at rest. It guards a library and no member, an Hdf5Writer
// holds it as long as it lives, and who has one may read a file meanwhile: the analysis behind
// common/base/mutex.h could follow none of that.
inline std::recursive_mutex& Hdf5Mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// The library prints its error stack to stderr unless told not to.
inline void SilenceHdf5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

}  // namespace elephas::keras_file
