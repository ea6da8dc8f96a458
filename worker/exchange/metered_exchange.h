// An exchange that counts its time, bytes and errors, whatever carries it.
#pragma once

#include <memory>

#include "worker/exchange/exchange.h"
#include "worker/metrics/work_meter.h"

namespace elephas {

// `activity`: kExchange, or kOverlapped for the one of the second thread. `meter` must outlive it.
std::unique_ptr<Exchange> MeterExchange(std::unique_ptr<Exchange> exchange, WorkMeter& meter,
                                        Activity activity);

}  // namespace elephas
