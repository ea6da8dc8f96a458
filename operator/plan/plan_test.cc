// (job, observed, now) -> plan, as JSON.
#include "operator/plan/plan.h"

#include <gtest/gtest.h>

#include <set>

#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;

constexpr std::int64_t kNow = kStart + 5'000;

const char* const kSucceededMessage =
    R"({"state":"Succeeded","epoch":2,"epochs":2,"progress":1.0,"metrics":{"loss":0.25}})";

struct PlanCase {
  std::string name;  // a sentence
  Job job;
  Observed observed;
  json plan;
  std::int64_t now = kNow;
};

Observed Refused(Observed observed, Status status, std::int64_t at = kNow - 1'000) {
  observed.refusal = Refusal{std::move(status), "Pod digits-worker-0", at};
  return observed;
}

Observed Told(Observed observed, const char* state) {
  Progress progress;
  progress.state = state;
  observed.progress = progress;
  return observed;
}

json New(const char* role, int index) { return {{"role", role}, {"index", index}, {"attempt", 0}}; }
json Next(const char* role, int index, int attempt, const std::string& replaces, int failures = 0) {
  json out{{"role", role}, {"index", index}, {"attempt", attempt}, {"replaces", replaces}};
  if (failures > 0) out["failures"] = failures;
  return out;
}
json InARow(int failures, json next) {
  next["inARow"] = failures;
  return next;
}
Observed Contributed(Observed observed, std::set<std::string> workers) {
  observed.progress.emplace();
  observed.progress->state = "Running";
  observed.progress->contributors = std::move(workers);
  return observed;
}
json EndOf(bool succeeded, const char* reason, const std::string& message) {
  return {{"end", {{"succeeded", succeeded}, {"reason", reason}, {"message", message}}}};
}

std::vector<PlanCase> Cases() {
  const MakeJob digits("digits");
  const auto running = [] { return Seen({Server(), Worker(0), Worker(1)}); };
  std::vector<PlanCase> cases;

  // --- from nothing to running
  cases.push_back({"a new job gets its objects and servers, and no workers yet",
                   digits,
                   Seen({}),
                   {{"applyObjects", true}, {"create", {New("paramserver", 0)}}}});
  cases.push_back({"workers wait while a server is not ready",
                   MakeJob("digits").Servers(2),
                   Seen({Server(0), Server(1).NotReady()}),
                   {{"applyObjects", true}}});
  cases.push_back({"workers come once every server is ready",
                   digits,
                   Seen({Server()}),
                   {{"applyObjects", true}, {"create", {New("worker", 0), New("worker", 1)}}}});
  cases.push_back({"a job that runs is left alone", digits, running(), {{"applyObjects", true}}});
  cases.push_back({"workers stay while a server restarts",
                   digits,
                   Seen({Server().Restarted(1, 137, "Error").NotReady(), Worker(0), Worker(1)}),
                   {{"applyObjects", true}}});

  // --- deaths
  cases.push_back({"a dead worker is replaced under a new name and its leases given back",
                   digits,
                   Seen({Server(), Worker(0), Worker(1).Ended(139, "Error")}),
                   {{"applyObjects", true},
                    {"create",
                     {Next("worker", 1, 1,
                           "digits-worker-1 was killed by signal 11 (SIGSEGV, exit code 139)", 1)}},
                    {"giveBack", {"digits-worker-1"}}}});
  cases.push_back(
      {"a worker killed for memory is replaced",
       digits,
       Seen({Server(), Worker(0).Ended(137, "OOMKilled"), Worker(1)}),
       {{"applyObjects", true},
        {"create", {Next("worker", 0, 1, "digits-worker-0 was killed for memory (OOMKilled)", 1)}},
        {"giveBack", {"digits-worker-0"}}}});
  cases.push_back(
      {"a replacement that is there is not made again",
       digits,
       Seen({Server(), Worker(0), Worker(1).Ended(1, "Error"), Worker(1, 1).Pending().Failures(1)}),
       {{"applyObjects", true}, {"wake", kStart + 30'000}}});
  cases.push_back(
      {"an evicted worker is replaced and does not count",
       digits,
       Seen({Server(), Worker(0), Worker(1).Evicted()}),
       {{"applyObjects", true},
        {"create",
         {Next("worker", 1, 1, "digits-worker-1 was lost (Evicted): the node was low on memory")}},
        {"giveBack", {"digits-worker-1"}}}});
  cases.push_back({"a worker that is being deleted is replaced at once",
                   digits,
                   Seen({Server(), Worker(0), Worker(1).Deleting()}),
                   {{"applyObjects", true},
                    {"create", {Next("worker", 1, 1, "digits-worker-1 is being deleted")}},
                    {"giveBack", {"digits-worker-1"}}}});
  cases.push_back({"a server that is being deleted is waited for",
                   digits,
                   Seen({Server().Deleting(kNow + 1'000), Worker(0), Worker(1)}),
                   {{"applyObjects", true}, {"wake", kNow + 11'000}}});
  cases.push_back(
      {"a server on a dead node is replaced when its grace is long over",
       digits,
       Seen({Server().Deleting(kNow - 10'000), Worker(0), Worker(1)}),
       {{"applyObjects", true},
        {"create", {Next("paramserver", 0, 1, "digits-paramserver-0 is being deleted")}}}});
  cases.push_back(
      {"a server that was stopped before the job was over is replaced",
       digits,
       Seen({Server().Ended(0, "Completed", R"({"state":"Running"})"), Worker(0), Worker(1)}),
       {{"applyObjects", true},
        {"create",
         {Next("paramserver", 0, 1,
               R"(digits-paramserver-0 exited with 0: {"state":"Running"})")}}}});
  cases.push_back({"an older pod of an index that came back goes",
                   digits,
                   Seen({Server(), Worker(0), Worker(1), Worker(1, 1)}),
                   {{"applyObjects", true},
                    {"remove", {"digits-worker-1 was replaced by digits-worker-1-1"}}}});
  cases.push_back({"workers that were told of the end are not replaced",
                   digits,
                   Seen({Server(), Worker(0).Ended(0, "Completed"), Worker(1).Ended(3, "Error")}),
                   {{"applyObjects", true}}});

  // --- deaths in a row
  cases.push_back(
      {"the second failure in a row waits ten seconds, its leases do not",
       digits,
       Seen({Server(), Worker(0), Worker(1, 1).Ended(1, "Error").Failures(1).InARow(1)}),
       {{"applyObjects", true}, {"giveBack", {"digits-worker-1-1"}}, {"wake", kStart + 11'000}}});
  cases.push_back(
      {"and is replaced then",
       digits,
       Seen({Server(), Worker(0), Worker(1, 1).Ended(1, "Error").Failures(1).InARow(1)}),
       {{"applyObjects", true},
        {"create", {InARow(2, Next("worker", 1, 2, "digits-worker-1-1 exited with 1", 2))}},
        {"giveBack", {"digits-worker-1-1"}}},
       kStart + 11'000});
  cases.push_back({"a pod that did something for the job is replaced at once",
                   digits,
                   Contributed(Seen({Server(), Worker(0),
                                     Worker(1, 4).Ended(1, "Error").Failures(4).InARow(4)}),
                               {"digits-worker-1-4"}),
                   {{"applyObjects", true},
                    {"create", {Next("worker", 1, 5, "digits-worker-1-4 exited with 1", 5)}},
                    {"giveBack", {"digits-worker-1-4"}}}});
  cases.push_back(
      {"an init container that fails is named, and waits as well",
       digits,
       Seen({Server(), Worker(0),
             Worker(1, 2).InitFailed("fetch", 1, "no such host").Failures(2).InARow(2)}),
       {{"applyObjects", true},
        {"create",
         {InARow(3, Next("worker", 1, 3,
                         "digits-worker-1-2 failed in its init container fetch, which "
                         "exited with 1: no such host",
                         3))}},
        {"giveBack", {"digits-worker-1-2"}}},
       kStart + 21'000});
  cases.push_back({"preemption neither counts nor waits",
                   MakeJob("digits").BackoffLimit(0),
                   Seen({Server(), Worker(0), Worker(1, 1).Evicted().InARow(3)}),
                   {{"applyObjects", true},
                    {"create",
                     {InARow(3, Next("worker", 1, 2,
                                     "digits-worker-1-1 was lost (Evicted): the node was low on "
                                     "memory"))}},
                    {"giveBack", {"digits-worker-1-1"}}}});

  // --- sidecars
  cases.push_back({"a dead worker's sidecar is ended, and the pod stays for its log",
                   digits,
                   Seen({Server(), Worker(0), Worker(1).Ended(1, "Error").Lingers()}),
                   {{"applyObjects", true},
                    {"create", {Next("worker", 1, 1, "digits-worker-1 exited with 1", 1)}},
                    {"giveBack", {"digits-worker-1"}},
                    {"stop", {"digits-worker-1 its container has ended"}}}});
  cases.push_back(
      {"it is ended although its replacement has to wait",
       digits,
       Seen({Server(), Worker(0), Worker(1).Ended(1, "Error").Lingers().Failures(1).InARow(1)}),
       {{"applyObjects", true},
        {"giveBack", {"digits-worker-1"}},
        {"stop", {"digits-worker-1 its container has ended"}},
        {"wake", kStart + 11'000}}});
  cases.push_back({"what has been stopped is not stopped again",
                   digits,
                   Seen({Server(), Worker(0), Worker(1).Ended(1, "Error").Lingers().WithDeadline(1),
                         Worker(1, 1).Failures(1).InARow(1)}),
                   {{"applyObjects", true}, {"wake", kStart + 121'000}}});
  cases.push_back({"what cannot be stopped is deleted in the end",
                   digits,
                   Seen({Server(), Worker(0), Worker(1).Ended(1, "Error").Lingers().WithDeadline(1),
                         Worker(1, 1).Failures(1).InARow(1)}),
                   {{"applyObjects", true}, {"remove", {"digits-worker-1 could not be stopped"}}},
                   kStart + 121'000});
  cases.push_back({"a worker that was told of the end is left alone with its sidecar",
                   digits,
                   Seen({Server(), Worker(0), Worker(1).Ended(0, "Completed").Lingers()}),
                   {{"applyObjects", true}}});

  // --- backoffLimit
  cases.push_back(
      {"the last death too many ends the job and says why", MakeJob("digits").BackoffLimit(1),
       Seen({Server(), Worker(0), Worker(1).Ended(137, "OOMKilled").Failures(1)}),
       EndOf(false, "BackoffLimitExceeded",
             "digits-worker-1 was killed for memory (OOMKilled); raise resources.limits.memory in "
             "spec.workers.template, or lower spec.fit.batchSize (spec.runPolicy.backoffLimit "
             "allows 1 restart)")});
  cases.push_back(
      {"restarts of a server count", MakeJob("digits").BackoffLimit(2),
       Seen({Server().Restarted(3, 139, "Error"), Worker(0), Worker(1)}),
       EndOf(false, "BackoffLimitExceeded",
             "digits-paramserver-0 was killed by signal 11 (SIGSEGV, exit code 139); see kubectl "
             "logs -n default "
             "digits-paramserver-0 --previous (spec.runPolicy.backoffLimit allows 2 restarts)")});
  cases.push_back({"of a long log the last whole lines are quoted",
                   MakeJob("digits").BackoffLimit(0),
                   Seen({Server(), Worker(0),
                         Worker(1).Ended(1, "Error", std::string(1'000, 'x') + "\nfirst\nlast\n")}),
                   EndOf(false, "BackoffLimitExceeded",
                         "digits-worker-1 exited with 1: first\nlast; see kubectl logs -n default "
                         "digits-worker-1 (spec.runPolicy.backoffLimit allows 0 restarts)")});
  cases.push_back(
      {"a program that refuses its arguments ends the job at once", digits,
       Seen({Server().Restarted(1, 2, "Error").NotReady()}),
       EndOf(false, "StartFailed",
             "digits-paramserver-0 cannot start: exited with 2; see kubectl logs -n default "
             "digits-paramserver-0 --previous")});

  // It restarted six times, with the same words each time.
  const char* const refusal =
      R"({"state":"Failed","reason":"CheckpointNotWritable","message":"/data/ckpt: no"})";
  cases.push_back({"a server that says that it can never start ends the job at once", digits,
                   Seen({Server().Ended(1, "Error", refusal)}),
                   EndOf(false, "CheckpointNotWritable", "digits-paramserver-0: /data/ckpt: no")});
  cases.push_back({"so does one that was started again since, whichever it is",
                   MakeJob("digits").Servers(2),
                   Seen({Server(0).NotReady(),
                         Server(1).Restarted(1, 1, "Error", kStart + 1000, refusal).NotReady()}),
                   EndOf(false, "CheckpointNotWritable", "digits-paramserver-1: /data/ckpt: no")});
  cases.push_back(
      {"a server that another one has succeeded is replaced, and the job goes on",
       digits,
       Seen({Server().Ended(0, "Completed", R"({"state":"Fenced"})"), Worker(0), Worker(1)}),
       {{"applyObjects", true},
        {"create",
         {Next("paramserver", 0, 1,
               R"(digits-paramserver-0 exited with 0: {"state":"Fenced"})")}}}});

  // --- the end
  cases.push_back({"server 0's last word ends the job", digits,
                   Seen({Server().Ended(0, "Completed", kSucceededMessage), Worker(0), Worker(1)}),
                   EndOf(true, "JobSucceeded", "the results are below out")});
  cases.push_back(
      {"a job that failed by itself says what its server says", digits,
       Seen({Server().Ended(
           0, "Completed",
           R"({"state":"Failed","reason":"InvalidJob","message":"there is no file x"})")}),
       EndOf(false, "InvalidJob", "there is no file x")});
  cases.push_back(
      {"workers that were told of success end a job whose server forgot", digits,
       Seen({Server().Restarted(1, 137, "Error", kStart + 3'000),
             Worker(0).Ended(0, "Completed", "", kStart + 2'000), Worker(1)}),
       EndOf(true, "JobSucceeded",
             "the outputs were written; server 0 died before it told its final numbers")});
  cases.push_back({"what a lost server told last counts", digits,
                   Told(Seen({Server().Evicted(), Worker(0), Worker(1)}), "Succeeded"),
                   EndOf(true, "JobSucceeded", "the results are below out")});

  // --- deadline, suspend, scale
  cases.push_back(
      {"a job with a deadline is looked at again when it is over",
       MakeJob("digits").Set("/spec/runPolicy/activeDeadlineSeconds", 60).StartedAt(kStart),
       running(),
       {{"applyObjects", true}, {"wake", kStart + 60'000}}});
  cases.push_back(
      {"a job that runs too long fails",
       MakeJob("digits").Set("/spec/runPolicy/activeDeadlineSeconds", 5).StartedAt(kStart),
       running(),
       EndOf(false, "DeadlineExceeded",
             "ran for longer than spec.runPolicy.activeDeadlineSeconds: 5 s")});
  cases.push_back(
      {"a suspended job keeps no pods",
       MakeJob("digits").Suspend(),
       running(),
       {{"suspended", true},
        {"remove",
         {"digits-paramserver-0 the job is suspended", "digits-worker-0 the job is suspended",
          "digits-worker-1 the job is suspended"}}}});
  cases.push_back({"scaled up, new workers come",
                   MakeJob("digits").Workers(4),
                   running(),
                   {{"applyObjects", true}, {"create", {New("worker", 2), New("worker", 3)}}}});
  cases.push_back({"scaled down, the highest go",
                   MakeJob("digits").Workers(1),
                   running(),
                   {{"applyObjects", true}, {"remove", {"digits-worker-1 is surplus"}}}});

  // --- what cannot be
  cases.push_back({"a wrong spec ends the job with every problem",
                   MakeJob("digits").Set("/spec/frequency", "fit").Set("/spec/fit/epochs", 0),
                   Seen({}),
                   EndOf(false, "InvalidSpec",
                         "spec.fit.epochs: must be at least 1\nspec.frequency: 'fit' averages once "
                         "at the end, which only spec.mode: synchronous does, not asynchronous")});
  cases.push_back(
      {"results that would be lost with the pod are refused",
       MakeJob("digits").Set("/spec/workers", {{"replicas", 2}}), Seen({}),
       EndOf(false, "NoVolume",
             "spec.output.uri: 'out' is /data/out in the pods, where no volume is mounted; it "
             "would be lost with the pod. Give spec.workers.template a volume called data, for "
             "example {spec: {volumes: [{name: data, persistentVolumeClaim: {claimName: "
             "NAME}}]}}")});
  cases.push_back({"a template that breaks the job is refused",
                   MakeJob("digits").Set("/spec/workers/template/spec/restartPolicy", "Always"),
                   Seen({}),
                   EndOf(false, "TemplateInvalid",
                         "spec.workers.template.spec.restartPolicy: is the operator's to set; "
                         "leave it out")});
  cases.push_back({"a pod that is refused by a quota is not asked for with every event",
                   digits,
                   Refused(Seen({Server()}), Forbidden("exceeded quota: compute")),
                   {{"applyObjects", true}, {"wake", kNow + 9'000}}});
  cases.push_back({"and is asked for again after a while",
                   digits,
                   Refused(Seen({Server()}), Forbidden("exceeded quota: compute"), kNow - 10'000),
                   {{"applyObjects", true}, {"create", {New("worker", 0), New("worker", 1)}}}});
  cases.push_back({"a pod that is wrong for good ends the job", digits,
                   Refused(Seen({Server()}), Invalid("cannot be handled as a Pod: strict decoding "
                                                     "error: unknown field \"spec.foo\"")),
                   EndOf(false, "PodInvalid",
                         "Pod digits-worker-0: cannot be handled as a Pod: strict decoding error: "
                         "unknown field \"spec.foo\"; correct the template and create the job "
                         "anew")});
  cases.push_back({"a pod that a LimitRange makes invalid is asked for again, for it may go",
                   digits,
                   Refused(Seen({Server()}),
                           Invalid("Pod \"a\" is invalid: spec.containers[0].resources.requests: "
                                   "must be less than or equal to cpu limit of 100m")),
                   {{"applyObjects", true}, {"wake", kNow + 9'000}}});
  cases.push_back(
      {"what waits for an earlier job's objects is tried with every event",
       digits,
       Refused(Seen({Server()}), Gone("Pod digits-worker-0 is still being deleted"), kNow),
       {{"applyObjects", true},
        {"create", {New("worker", 0), New("worker", 1)}},
        {"wake", kNow + 1'000}}});
  cases.push_back(
      {"a name that somebody else has ends the job", digits,
       Refused(Seen({}), Exists("there is a Pod digits-worker-0")),
       EndOf(false, "NameTaken", "Pod digits-worker-0: there is a Pod digits-worker-0")});

  // --- afterwards
  cases.push_back({"after success programs get time to end by themselves",
                   MakeJob("digits").FinishedAt(kNow, true),
                   running(),
                   {{"wake", kNow + 10'000}}});
  cases.push_back(
      {"after failure what runs goes at once, what ended stays for its log",
       MakeJob("digits").FinishedAt(kNow, false),
       Seen({Server(), Worker(0).Ended(1, "Error"), Worker(1)}),
       {{"remove",
         {"digits-paramserver-0 the job has finished", "digits-worker-1 the job has finished"}}}});
  cases.push_back(
      {"cleanPodPolicy All keeps nothing",
       MakeJob("digits").FinishedAt(kNow, false).Set("/spec/runPolicy/cleanPodPolicy", "All"),
       Seen({Worker(0).Ended(1, "Error")}),
       {{"remove", {"digits-worker-0 the job has finished"}}}});
  cases.push_back(
      {"cleanPodPolicy None keeps everything",
       MakeJob("digits").FinishedAt(kNow, false).Set("/spec/runPolicy/cleanPodPolicy", "None"),
       running(), json::object()});
  cases.push_back(
      {"after success sidecars go as well",
       MakeJob("digits").FinishedAt(kNow - 10'000, true),
       Seen({Server().Ended(0, "Completed").Lingers(), Worker(0).Ended(0, "Completed"),
             Worker(1).Ended(0, "Completed").Lingers()}),
       {{"remove",
         {"digits-paramserver-0 the job has finished", "digits-worker-1 the job has finished"}}}});
  cases.push_back({"but may end by themselves",
                   MakeJob("digits").FinishedAt(kNow, true),
                   Seen({Worker(1).Ended(0, "Completed").Lingers()}),
                   {{"wake", kNow + 10'000}}});
  cases.push_back({"after failure the pods of sidecars stay for their logs",
                   MakeJob("digits").FinishedAt(kNow, false),
                   Seen({Worker(0).Ended(1, "Error").Lingers(),
                         Worker(1).Ended(1, "Error").Lingers().WithDeadline(1)}),
                   {{"stop", {"digits-worker-0 the job has finished"}}}});
  cases.push_back(
      {"under None a worker that waits for a server that is gone is ended",
       MakeJob("digits")
           .FinishedAt(kNow - 10'000, true)
           .Set("/spec/runPolicy/cleanPodPolicy", "None"),
       Seen({Server().Ended(0, "Completed"), Worker(0).Ended(0, "Completed").Lingers(), Worker(1)}),
       {{"stop", {"digits-worker-1 the job has finished"}}}});
  cases.push_back({"under None a worker that never came to a node goes",
                   MakeJob("digits")
                       .FinishedAt(kNow - 10'000, true)
                       .Set("/spec/runPolicy/cleanPodPolicy", "None"),
                   Seen({Server().Ended(0, "Completed"), Worker(1).Pending()}),
                   {{"remove", {"digits-worker-1 the job has finished"}}}});
  cases.push_back(
      {"under None workers may hear the end from their server first",
       MakeJob("digits").FinishedAt(kNow, true).Set("/spec/runPolicy/cleanPodPolicy", "None"),
       Seen({Server().Ended(0, "Completed"), Worker(1)}),
       {{"wake", kNow + 10'000}}});
  cases.push_back({"a finished job is deleted when its time is over",
                   MakeJob("digits")
                       .FinishedAt(kNow - 60'000, true)
                       .Set("/spec/runPolicy/ttlSecondsAfterFinished", 60),
                   Seen({}),
                   {{"deleteJob", true}}});
  cases.push_back(
      {"and not before",
       MakeJob("digits").FinishedAt(kNow, true).Set("/spec/runPolicy/ttlSecondsAfterFinished", 60),
       Seen({}),
       {{"wake", kNow + 60'000}}});
  cases.push_back({"a finished job does not start again", MakeJob("digits").FinishedAt(kNow, true),
                   Seen({}), json::object()});
  return cases;
}

TEST(Plan, Table) {
  for (const PlanCase& test : Cases()) {
    SCOPED_TRACE(test.name);
    const json plan = ToJson(MakePlan(test.job, Settings{}, test.observed, test.now));
    EXPECT_EQ(plan, test.plan) << plan.dump(2);
  }
}

TEST(Plan, OnlyTheNewestFailedPodsAreKept) {
  std::vector<Pod> pods{Server(), Worker(0), Worker(1, 12).Failures(12)};
  for (int attempt = 0; attempt < 12; ++attempt) {
    pods.push_back(Worker(1, attempt).Ended(1, "Error").CreatedAt(kStart + attempt));
  }
  const Plan plan =
      MakePlan(MakeJob("digits").BackoffLimit(100), Settings{}, Seen(std::move(pods)), kNow);
  ASSERT_EQ(plan.remove.size(), 2U);
  EXPECT_EQ(plan.remove[0].name, "digits-worker-1");
  EXPECT_EQ(plan.remove[1].name, "digits-worker-1-1");
}

}  // namespace
}  // namespace elephas
