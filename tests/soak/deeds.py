"""What users, tenants and misfortune do to a cluster: N deeds, drawn from a seed.

The list is a pure function of (seed, number of deeds), and a longer one begins like a shorter one. A deed names a slot, that
is a job's namespace and name; the list keeps account of what is in each slot, so that nobody suspends what was never made.
"""

import dataclasses
import random

NAMESPACES = ("soak-red", "soak-blue")
SLOTS = tuple((namespace, f"job-{number}") for namespace in NAMESPACES for number in range(3))

# Pod templates that must never become a pod that trains. What may be told of them: at once by the API server, or as the
# reason of a condition. `stalls`: it may go on when somebody removes the cause, so it does not fail.
@dataclasses.dataclass(frozen=True)
class BadTemplate:
    spec: dict  # merged into workers.template.spec
    reasons: frozenset
    stalls: bool = False


_WRONG = frozenset({"TemplateInvalid", "PodInvalid", "InvalidSpec"})
_DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "digits"}}


def _container(**fields):
    return {"containers": [{"name": "worker", **fields}]}


BAD_TEMPLATES = {
    "a text for a boolean": BadTemplate({"hostNetwork": "yes"}, _WRONG),
    "a volume with a number for a name": BadTemplate({"volumes": [_DATA, {"name": 5}]}, _WRONG),
    "a mount that is a text": BadTemplate(_container(volumeMounts=["x"]), _WRONG),
    "resources that are a text": BadTemplate(_container(resources="x"), _WRONG),
    "a variable that is a number": BadTemplate(_container(env=[{"name": "A", "value": 5}]), _WRONG),
    "containers that are a text": BadTemplate({"containers": "worker"}, _WRONG),
    "an unknown field": BadTemplate({"priorityClass": "high"}, _WRONG),
    "a restart policy": BadTemplate({"restartPolicy": "Always"}, _WRONG),
    "the host's network": BadTemplate({"hostNetwork": True}, frozenset({"PodRefused"}), stalls=True),
    "an image that is nowhere": BadTemplate(_container(image="registry.invalid/nothing:1"),
                                            frozenset({"ImagePullFailed"}), stalls=True),
    "a claim that is not there": BadTemplate(
        {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "absent"}}]},
        frozenset({"VolumeNotBound"}), stalls=True),
    "more processors than there are": BadTemplate(_container(resources={"requests": {"cpu": "1000"}}),
                                                  frozenset({"Unschedulable"}), stalls=True),
}

# Fields below spec that no job may have; refused, or told as InvalidSpec.
BAD_FIELDS = {
    "an unknown mode": {"mode": "sometimes"},
    "an optimizer that is none": {"compile": {"optimizer": "sgdd", "loss": "mse"}},
    "fit that is asynchronous": {"mode": "asynchronous", "frequency": "fit"},
    "fewer workers than none": {"workers": {"replicas": -1}},
    "a field that is none": {"optimiser": "sgd"},
    "thousands of wrong class weights": {"fit": {"epochs": 1, "classWeight": {f"class-{n}": 1 for n in range(3000)}}},
}

# What may be edited while a job runs, below spec.runPolicy; none of it changes how the job ends.
EDITS = ({"backoffLimit": 60}, {"activeDeadlineSeconds": 86400}, {"cleanPodPolicy": "All"}, {"cleanPodPolicy": "Running"},
         {"ttlSecondsAfterFinished": 5})
# What may not.
FORBIDDEN_EDITS = (("fit", {"epochs": 7}), ("mode", "hogwild"), ("data", {"partitions": 9}), ("task", "predict"),
                   ("parameterServers", {"replicas": 3}), ("checkpoint", {"keep": 9}))

DAEMONS = ("kube-apiserver", "kube-apiserver", "kubelet", "kube-controller-manager", "kube-scheduler")


@dataclasses.dataclass(frozen=True)
class Deed:
    number: int
    kind: str
    slot: tuple[str, str] | None = None
    details: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        where = f" {self.slot[0]}/{self.slot[1]}" if self.slot else ""
        details = ", ".join(f"{key} {value}" for key, value in self.details.items())
        return f"{self.number}: {self.kind}{where}" + (f" ({details})" if details else "")


_WEIGHTS = {
    "create": 16, "re-create": 14, "share a checkpoint folder": 4, "bad template": 9, "bad manifest": 5, "delete": 5, "scale": 8,
    "suspend or resume": 8, "edit": 5, "forbidden edit": 5, "kill a container": 11, "delete a pod": 5, "kill an operator": 3,
    "delete an operator": 2, "kill a daemon": 4, "quota": 4, "limit range": 4,
}
# Before each deed, the chance that what hinders a namespace's pods goes: nothing else can happen there meanwhile.
_GOES_AGAIN = 0.25


def deeds(seed, count):
    """The first `count` of the seed's deeds."""
    return _Author(seed).write(count)


class _Author:
    def __init__(self, seed):
        self._choose = random.Random(f"soak/{seed}")
        self._jobs = {}  # slot -> the details of a good job that may be there
        self._there = set()  # slots with any job
        self._suspended = set()
        self._hindrances = []  # (kind, namespace) of those that are on

    def write(self, count):
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        written = []
        while len(written) < count:
            if self._hindrances and self._choose.random() < _GOES_AGAIN:
                written.append(self._toggle(len(written) + 1, *self._hindrances[0]))
                continue
            # A deed for which there is no slot is not written.
            written += self._draw(len(written) + 1, self._choose.choices(kinds, weights)[0]) or []
        return written[:count]

    def _draw(self, number, kind):
        choose = self._choose
        if kind in ("create", "bad template", "bad manifest"):
            return [self._create(number, kind, choose.choice(SLOTS))]
        if kind == "share a checkpoint folder":
            namespace = choose.choice(NAMESPACES)
            slots = choose.sample([slot for slot in SLOTS if slot[0] == namespace], 2)
            return [self._create(number + index, "create", slot, checkpoint=f"shared-{number}")
                    for index, slot in enumerate(slots)]
        if kind in ("kill an operator", "delete an operator"):
            return [Deed(number, kind, details={"leader": choose.random() < 0.7})]
        if kind == "kill a daemon":
            return [Deed(number, kind, details={"name": choose.choice(DAEMONS)})]
        if kind in ("quota", "limit range"):
            return [self._toggle(number, kind, choose.choice(NAMESPACES))]
        if not self._there:
            return None
        if kind == "delete":
            slot = choose.choice(sorted(self._there))
            self._forget(slot)
            return [Deed(number, kind, slot, {"cascade": choose.choice(("background", "background", "foreground"))})]
        return self._change(number, kind) if self._jobs else None

    def _toggle(self, number, kind, namespace):
        hindrance = (kind, namespace)
        (self._hindrances.remove if hindrance in self._hindrances else self._hindrances.append)(hindrance)
        return Deed(number, kind, details={"namespace": namespace})

    def _change(self, number, kind):
        """Of a good job."""
        choose = self._choose
        slot = choose.choice(sorted(self._jobs))
        if kind == "re-create":
            self._suspended.discard(slot)
            return [Deed(number, kind, slot, {"times": choose.choice((1, 1, 2, 3)), "job": self._jobs[slot]})]
        if kind == "suspend or resume":
            suspend = slot not in self._suspended
            (self._suspended.add if suspend else self._suspended.discard)(slot)
            return [Deed(number, "suspend" if suspend else "resume", slot)]
        details = {
            "scale": lambda: {"replicas": choose.randint(1, 4)},
            "edit": lambda: {"runPolicy": choose.choice(EDITS)},
            "forbidden edit": lambda: {"field": choose.choice(FORBIDDEN_EDITS)},
            "kill a container": lambda: {"component": choose.choice(("worker", "worker", "paramserver")),
                                         "pick": choose.randrange(8)},
            "delete a pod": lambda: {"component": choose.choice(("worker", "paramserver")), "pick": choose.randrange(8)},
        }[kind]()
        return [Deed(number, kind, slot, details)]

    def _create(self, number, kind, slot, checkpoint=None):
        choose = self._choose
        self._forget(slot)
        self._there.add(slot)
        job = {
            "mode": choose.choice(("synchronous", "synchronous", "asynchronous", "hogwild")),
            "epochs": choose.randint(100, 400),
            "workers": choose.randint(1, 3),
            "servers": choose.choice((1, 1, 2)),
            # Most live through whatever is done to them here, some do not live through much.
            "backoffLimit": choose.choice((60, 60, 60, 60, 0, 1)),
            "checkpoint": checkpoint or slot[1],
        }
        if kind == "create":
            self._jobs[slot] = job
            return Deed(number, kind, slot, {"job": job})
        wrong = choose.choice(sorted(BAD_TEMPLATES if kind == "bad template" else BAD_FIELDS))
        return Deed(number, kind, slot, {"job": job, "wrong": wrong})

    def _forget(self, slot):
        self._jobs.pop(slot, None)
        self._there.discard(slot)
        self._suspended.discard(slot)
