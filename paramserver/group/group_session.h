// A group and the commit that its members are putting together: what of it counts, and what was
// committed last. The caller synchronises.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/protocol/group_protocol.h"
#include "paramserver/group/group.h"
#include "paramserver/group/group_commit.h"

namespace elephas {

class GroupSession {
 public:
  explicit GroupSession(Group::Options options) : group_(std::move(options)) {}

  [[nodiscard]] Group& group() { return group_; }
  [[nodiscard]] const Group& group() const { return group_; }

  // After any call that may end a generation: what people want to hear. A commit of a generation
  // that is over is thrown away, it will never be whole.
  std::vector<Group::News> TakeNews();
  // A new incarnation. Must come before the ledger goes that a commit was opened on.
  void Reset();

  // Whether `version` is what generation `generation` has committed last.
  [[nodiscard]] bool Last(Generation generation, Version version) const {
    return generation_ == generation && version_ == version;
  }
  // The rounds that the last commit's members were told.
  [[nodiscard]] std::int64_t last_rounds() const { return rounds_; }
  // The generation that keeps updates by rest out; nothing: none does.
  [[nodiscard]] std::optional<Generation> RoundsOf() const;

  // kDuplicate: this commit is applied. kConflict: the generation is over, the base is not
  // `version`, which the server holds, or `by_rest` contributions are in the open round.
  [[nodiscard]] Result<UpdateOutcome> Judge(const GroupCommitHeader& header, Version version,
                                            std::int64_t by_rest) const;
  // The commit that parts of `header` belong to, opened where there is none. kConflict: another one
  // is open. `plan` and `ledger` as for GroupCommit::Begin.
  Result<GroupCommit*> Open(const JobPlan& plan, const Ledger& ledger,
                            const GroupCommitHeader& header);
  // The commit, once all of its parts are there.
  std::optional<GroupCommit> TakeWhole();
  // Its parts are applied. Group::Committed() follows once epochs are closed.
  void Applied(const GroupCommit& commit, Clock::TimePoint now);

 private:
  Group group_;
  std::optional<GroupCommit> commit_;
  Generation generation_;  // of the last commit
  Version version_;        // after it
  std::int64_t rounds_ = 0;
};

}  // namespace elephas
