// Names that several programs and their tests share: labels, annotations, paths, environment, and
// the words under `reason` in conditions and events. One sentence each; docs/design/operator.md
// tells the rest.
#pragma once

#include <string_view>

namespace elephas::names {

// --- labels ------------------------------------------------------------------------------------
// Kubernetes' recommended labels, on everything that the operator makes.
inline constexpr std::string_view kAppName = "app.kubernetes.io/name";  // always kAppNameValue
inline constexpr std::string_view kAppInstance = "app.kubernetes.io/instance";    // the job's name
inline constexpr std::string_view kAppComponent = "app.kubernetes.io/component";  // see below
inline constexpr std::string_view kAppManagedBy = "app.kubernetes.io/managed-by";
inline constexpr std::string_view kAppNameValue = "elephas";
inline constexpr std::string_view kManagedByValue = "elephas-operator";
// Values of kAppComponent; the first two are also the names of the pods' containers.
inline constexpr std::string_view kParamserver = "paramserver";
inline constexpr std::string_view kWorker = "worker";
inline constexpr std::string_view kJobComponent = "job";
// The uid of the ElephasJob that the object belongs to.
inline constexpr std::string_view kJobUid = "elephas.dev/job-uid";
// Which server or worker the pod is, from 0.
inline constexpr std::string_view kIndex = "elephas.dev/index";
// How many pods of this index came before it.
inline constexpr std::string_view kAttempt = "elephas.dev/attempt";
// Selects the pods that the operator watches.
inline constexpr std::string_view kManagedSelector =
    "app.kubernetes.io/managed-by=elephas-operator";

// --- annotations -------------------------------------------------------------------------------
// On a pod: how many deaths of its predecessors count for backoffLimit.
inline constexpr std::string_view kFailures = "elephas.dev/failures";
// On a pod: how many of them came one after the other, without an example of the job's in between.
inline constexpr std::string_view kFailuresInARow = "elephas.dev/failures-in-a-row";

// --- inside the pods ---------------------------------------------------------------------------
// Where a URI without a scheme starts; the volume kDataVolume is mounted there.
inline constexpr std::string_view kDataFolder = "/data";
inline constexpr std::string_view kDataVolume = "data";
// Keys of the job's Secret, files of kSecretFolder.
inline constexpr std::string_view kSecretFolder = "/etc/elephas";
inline constexpr std::string_view kTokenKey = "token";
inline constexpr std::string_view kManifestKey = "manifest.json";
// Where the model out of spec.model.configMapRef is mounted, and the name of its file there.
inline constexpr std::string_view kModelFolder = "/etc/elephas-model";
inline constexpr std::string_view kModelFile = "model.json";
inline constexpr std::string_view kTerminationLog = "/dev/termination-log";
// The kubelet keeps so much of that file and cuts off the rest, so what a server writes fits.
inline constexpr std::size_t kTerminationLogBytes = 4096;

// --- conditions of an ElephasJob -----------------------------------------------------------------
inline constexpr std::string_view kCreated = "Created";      // Secret, Service, pods were asked for
inline constexpr std::string_view kRunning = "Running";      // the job makes progress
inline constexpr std::string_view kSucceeded = "Succeeded";  // its outputs are written
inline constexpr std::string_view kFailed = "Failed";        // it will not go on
inline constexpr std::string_view kSuspended = "Suspended";  // spec.runPolicy.suspend is obeyed
inline constexpr std::string_view kStalled = "Stalled";      // a person has something to do

// --- reasons -----------------------------------------------------------------------------------
inline constexpr std::string_view kObjectsCreated = "ObjectsCreated";
inline constexpr std::string_view kNotCreated = "NotCreated";
inline constexpr std::string_view kNotFinished = "NotFinished";
inline constexpr std::string_view kJobSucceeded = "JobSucceeded";
inline constexpr std::string_view kJobSuspended = "JobSuspended";
inline constexpr std::string_view kJobResumed = "JobResumed";
inline constexpr std::string_view kNotSuspended = "NotSuspended";
inline constexpr std::string_view kFinished = "Finished";
inline constexpr std::string_view kNothingToDo = "NothingToDo";
// Running: True.
inline constexpr std::string_view kTraining = "Training";
inline constexpr std::string_view kEvaluating = "Evaluating";
inline constexpr std::string_view kPredicting = "Predicting";
inline constexpr std::string_view kWorkerOutOfMemory = "WorkerOutOfMemory";  // a limit is too low
inline constexpr std::string_view kWorkerFailing = "WorkerFailing";          // one was replaced
// Running: False, and nobody has to do anything.
inline constexpr std::string_view kServersStarting = "ServersStarting";
inline constexpr std::string_view kWorkersStarting = "WorkersStarting";
inline constexpr std::string_view kServerRestarting = "ServerRestarting";
// An earlier job of that name is not quite gone.
inline constexpr std::string_view kWaitingForOldObjects = "WaitingForOldObjects";
inline constexpr std::string_view kSchedulingGated = "SchedulingGated";  // Kueue and its like
// Running: False, and a person has to do something.
inline constexpr std::string_view kImagePullFailed = "ImagePullFailed";
inline constexpr std::string_view kVolumeNotBound = "VolumeNotBound";
inline constexpr std::string_view kUnschedulable = "Unschedulable";
inline constexpr std::string_view kQuotaExceeded = "QuotaExceeded";
inline constexpr std::string_view kPodRefused = "PodRefused";  // by admission or RBAC
inline constexpr std::string_view kContainerConfigError = "ContainerConfigError";
inline constexpr std::string_view kPodNotStarting = "PodNotStarting";
inline constexpr std::string_view kInitContainerFailed = "InitContainerFailed";
// Failed: True. A parameter server's own reasons come beside these.
inline constexpr std::string_view kInvalidSpec = "InvalidSpec";
inline constexpr std::string_view kNoVolume = "NoVolume";
inline constexpr std::string_view kTemplateInvalid = "TemplateInvalid";
inline constexpr std::string_view kNameTaken = "NameTaken";
inline constexpr std::string_view kPodInvalid = "PodInvalid";
// A program refuses what it is given.
inline constexpr std::string_view kStartFailed = "StartFailed";
// Told by a server before anything runs, or by a worker before its first lease.
inline constexpr std::string_view kCheckpointNotWritable = "CheckpointNotWritable";
inline constexpr std::string_view kCheckpointsDamaged = "CheckpointsDamaged";  // all of them
inline constexpr std::string_view kResumeFailed = "ResumeFailed";  // nothing fits to go on from
inline constexpr std::string_view kOutputNotWritable = "OutputNotWritable";
inline constexpr std::string_view kOutputInUse = "OutputInUse";  // by another job that runs
inline constexpr std::string_view kBackoffLimitExceeded = "BackoffLimitExceeded";
inline constexpr std::string_view kDeadlineExceeded = "DeadlineExceeded";
// The operator itself cannot cope with the job: a defect of ours, told instead of repeated.
inline constexpr std::string_view kInternalError = "InternalError";
// A server's own reason that the API would not take as one; it is in the message.
inline constexpr std::string_view kUnnamed = "Unnamed";
// A warning in the status: other jobs have checkpoints there that are not used.
inline constexpr std::string_view kForeignCheckpoints = "ForeignCheckpoints";
// How a server ends that was succeeded by another one; its job goes on there.
inline constexpr std::string_view kFenced = "Fenced";
// Events only.
inline constexpr std::string_view kWorkerReplaced = "WorkerReplaced";
inline constexpr std::string_view kServerReplaced = "ServerReplaced";
inline constexpr std::string_view kScaled = "Scaled";

}  // namespace elephas::names
