#include "paramserver/group/group_session.h"

#include <string>

namespace elephas {

std::vector<Group::News> GroupSession::TakeNews() {
  if (commit_ && (!group_.owns_rounds() || commit_->generation() != group_.generation())) {
    commit_.reset();
  }
  return group_.TakeNews();
}

void GroupSession::Reset() {
  group_.Reset();
  commit_.reset();
  generation_ = Generation();
  version_ = Version();
}

std::optional<Generation> GroupSession::RoundsOf() const {
  if (!group_.owns_rounds()) return std::nullopt;
  return group_.generation();
}

Result<UpdateOutcome> GroupSession::Judge(const GroupCommitHeader& header, Version version,
                                          std::int64_t by_rest) const {
  if (Last(header.generation, header.target)) return UpdateOutcome::kDuplicate;
  ELEPHAS_RETURN_IF_ERROR(group_.CheckTraining(header.worker, header.generation));
  if (header.base != version) {
    return Conflict("the server holds version " + std::to_string(version.value()) +
                    ", this commit follows " + std::to_string(header.base.value()));
  }
  if (by_rest > 0) return Conflict("the open round has contributions by rest");
  return UpdateOutcome::kApplied;
}

Result<GroupCommit*> GroupSession::Open(const JobPlan& plan, const Ledger& ledger,
                                        const GroupCommitHeader& header) {
  if (commit_ && commit_->Covers(header)) return &*commit_;
  if (commit_ && commit_->generation() == header.generation) {
    return Conflict("another commit is open: version " + std::to_string(commit_->target().value()));
  }
  ELEPHAS_ASSIGN_OR_RETURN(GroupCommit commit, GroupCommit::Begin(plan, ledger, header));
  commit_ = std::move(commit);
  return &*commit_;
}

std::optional<GroupCommit> GroupSession::TakeWhole() {
  if (!commit_ || !commit_->complete()) return std::nullopt;
  return std::exchange(commit_, std::nullopt);
}

void GroupSession::Applied(const GroupCommit& commit, Clock::TimePoint now) {
  generation_ = commit.generation();
  version_ = commit.target();
  rounds_ = group_.RoundsAfter(commit.target(), now);
}

}  // namespace elephas
