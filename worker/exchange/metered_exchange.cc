#include "worker/exchange/metered_exchange.h"

#include <utility>

namespace elephas {
namespace {

class MeteredExchange final : public Exchange {
 public:
  MeteredExchange(std::unique_ptr<Exchange> exchange, WorkMeter& meter, Activity activity)
      : exchange_(std::move(exchange)), meter_(meter), activity_(activity) {}

  Status Initialise(const ModelLayout& layout, std::span<const float> parameters,
                    std::span<const float> slots, std::int64_t iterations) override {
    const auto timer = meter_.Time(activity_);
    Status status = exchange_->Initialise(layout, parameters, slots, iterations);
    Count(status, 0, parameters.size_bytes() + slots.size_bytes());
    return status;
  }

  Result<Pulled> Pull(Version minimum, std::span<float> parameters,
                      std::span<float> slots) override {
    const auto timer = meter_.Time(activity_);
    auto pulled = exchange_->Pull(minimum, parameters, slots);
    Count(pulled.status(), parameters.size_bytes() + slots.size_bytes(), 0);
    return pulled;
  }

  Result<Pulled> PullEpoch(std::int64_t epoch, std::span<float> parameters,
                           std::span<float> slots) override {
    const auto timer = meter_.Time(activity_);
    auto pulled = exchange_->PullEpoch(epoch, parameters, slots);
    Count(pulled.status(), parameters.size_bytes() + slots.size_bytes(), 0);
    return pulled;
  }

  Result<Pushed> Push(const UpdateHeader& header, std::span<const float> delta,
                      std::span<const float> slots, std::span<float> fresh) override {
    const auto timer = meter_.Time(activity_);
    auto pushed = exchange_->Push(header, delta, slots, fresh);
    Count(pushed.status(), fresh.size_bytes(), delta.size_bytes() + slots.size_bytes());
    return pushed;
  }

 private:
  void Count(const Status& status, std::uint64_t received, std::uint64_t sent) {
    if (status.ok()) {
      meter_.CountExchanged(received, sent);
    } else {
      meter_.CountExchangeError();
    }
  }

  const std::unique_ptr<Exchange> exchange_;
  WorkMeter& meter_;
  const Activity activity_;
};

}  // namespace

std::unique_ptr<Exchange> MeterExchange(std::unique_ptr<Exchange> exchange, WorkMeter& meter,
                                        Activity activity) {
  return std::make_unique<MeteredExchange>(std::move(exchange), meter, activity);
}

}  // namespace elephas
