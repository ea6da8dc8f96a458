#include "kube/observer.h"

namespace elephas::kube {

ClientObserver& NoObserver() {
  static ClientObserver observer;
  return observer;
}

}  // namespace elephas::kube
