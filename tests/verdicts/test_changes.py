"""Every field of a job that exists is changed, one after the other, values deep inside of free-form fields too.

Either the API server refuses the change or the field is declared to be changeable (operator/crd/mutable_fields_test.cc
proves that those have an effect): no change is taken and then ignored.
"""

import copy

import manifests
import pytest
from api_server import JOBS

# Field -> another value for it, where the type does not say one.
_OTHERS = {
    "spec.model.weights.uri": "other.safetensors", "spec.data.uri": "e.npz", "spec.output.uri": "elsewhere",
    "spec.checkpoint.uri": "elsewhere", "spec.fit.earlyStopping.monitor": "loss",
    "spec.fit.modelCheckpoint.monitor": "loss", "spec.fit.reduceLROnPlateau.monitor": "val_loss",
    "spec.fit.validationSplit": 0.5,
    "spec.frequency": "batch",  # fit does not go with callbacks
    "spec.transport": "auto",
}


def _jobs():
    """Between them they have every field."""
    inline = manifests.full()
    inline["metadata"]["name"] = "with-inline-model"
    file = manifests.full()
    file["metadata"]["name"] = "with-model-file"
    file["spec"]["model"] = {"uri": "model.keras"}
    file["spec"]["data"]["sampleWeights"] = ["v", "w"]
    del file["spec"]["fit"]["classWeight"]
    config_map = manifests.full()
    config_map["metadata"]["name"] = "with-config-map"
    config_map["spec"]["model"] = {"configMapRef": {"name": "models", "key": "model.json"}}
    config_map["spec"]["data"]["sampleWeights"] = {"a": "v", "b": "w"}
    del config_map["spec"]["fit"]["classWeight"]
    return [inline, file, config_map]


def _other(field, value):
    """Another good value of a field without free form."""
    if field["path"] in _OTHERS:
        return _OTHERS[field["path"]]
    kind = field["type"]
    if kind == "integer":
        return value + 1
    if kind == "number":
        return value / 2 if value else 0.5
    if kind == "boolean":
        return not value
    if kind == "word":
        return next(word for word in field["words"] if word != value)
    if kind == "uri":
        return "other-" + value
    return value + "-b"


def _changed_inside(value):
    """(what was done, value) for each place inside of a value: another key or value, as many of them as before."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for what, other in _changed_inside(inner):
                yield f"{key}.{what}", {**value, key: other}
            yield f"key {key}", {(f"9{each}" if each == key else each): inside for each, inside in value.items()}
            yield f"without {key}", {each: inside for each, inside in value.items() if each != key}
        yield "another key", {**value, "77": copy.deepcopy(next(iter(value.values()), "a"))}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for what, other in _changed_inside(inner):
                yield f"[{index}].{what}", [*value[:index], other, *value[index + 1:]]
        yield "reversed", value[::-1]
        yield "longer", [*value, copy.deepcopy(value[-1])] if value else ["a"]
    elif isinstance(value, bool):
        yield "other", not value
    elif isinstance(value, (int, float)):
        yield "other", value + 1
    else:
        yield "other", f"{value}x"


def _changes(field, value):
    if field["type"] in ("names", "object", "pod-template", "any", "weights"):
        yield from (each for each in _changed_inside(value) if each[1] != value)
    else:
        yield "other", _other(field, value)
    if field.get("default") != value:  # else it is no change
        yield "left out", manifests.MISSING


@pytest.fixture(scope="module")
def standing(server):
    """The jobs as the API server keeps them."""
    kept = []
    for job in _jobs():
        status, answer = server.request("POST", JOBS, job, fieldValidation="Strict")
        assert status == 201, answer
        kept.append(answer)
    yield kept
    for job in kept:
        server.request("DELETE", f"{JOBS}/{job['metadata']['name']}")


def _update(server, job, connection):
    """"" when the change is taken, else what the API server says."""
    status, answer = server.request("PUT", f"{JOBS}/{job['metadata']['name']}", job, connection, dryRun="All",
                                    fieldValidation="Strict")
    if status == 200:
        return ""
    assert status in (400, 422), (status, answer)
    return answer["message"]


def _leaves(fields):
    return [field for field in fields if field["path"].startswith("spec.") and field["type"] != "section"]


def test_every_field_is_in_one_of_the_jobs(standing, fields):
    for field in _leaves(fields):
        assert any(manifests.value_at(job, field["path"]) is not manifests.MISSING for job in standing), field["path"]


def test_a_change_is_refused_or_declared(server, standing, fields):
    wrong, refused, taken = [], 0, 0
    connection = server.connect()
    for kept in standing:
        for field in _leaves(fields):
            value = manifests.value_at(kept, field["path"])
            if value is manifests.MISSING:
                continue
            for what, other in _changes(field, value):
                changed = copy.deepcopy(kept)
                manifests.put(changed, field["path"], other)
                answer = _update(server, changed, connection)
                refused, taken = refused + bool(answer), taken + (not answer)
                if field["mutability"] != "mutable" and not _tells_of_the_change(answer, what):
                    wrong.append(f"{kept['metadata']['name']}: {field['path']}: {what}: {answer or 'taken'}")
                if answer and what == "other" and field["mutability"] == "mutable":
                    wrong.append(f"{kept['metadata']['name']}: {field['path']}: {what}: {answer}")
    connection.close()
    assert not wrong, "\n".join(wrong)
    assert refused > 150 and taken > 5, (refused, taken)


def _tells_of_the_change(answer, what):
    """A value that would be wrong in a new job too must not hide that it could be changed to a good one."""
    told = "cannot be changed" in answer or "can be changed only while" in answer
    # What is required is missed first, and a template's own schema goes before everything.
    return told or (what == "left out" and "Required value" in answer) or "strict decoding error" in answer


def test_fields_that_were_left_out_cannot_be_added(server, fields):
    job = manifests.minimal()
    job["metadata"]["name"] = "with-little"
    status, kept = server.request("POST", JOBS, job)
    assert status == 201, kept
    given = {field["path"]: manifests.value_at(each, field["path"]) for each in _jobs() for field in _leaves(fields)
             if manifests.value_at(each, field["path"]) is not manifests.MISSING}
    wrong = []
    for field in _leaves(fields):
        if manifests.value_at(kept, field["path"]) is not manifests.MISSING or field["path"].startswith("spec.model."):
            continue
        changed = copy.deepcopy(kept)
        manifests.put(changed, field["path"], given[field["path"]])
        if not _update(server, changed, None) and field["mutability"] != "mutable":
            wrong.append(field["path"])
    server.request("DELETE", f"{JOBS}/with-little")
    assert not wrong


def test_what_can_be_changed_while_suspended_cannot_while_it_runs(server, fields):
    pausable = [field["path"] for field in fields if field["mutability"] == "while-suspended"]
    assert pausable
    job = manifests.full()
    job["metadata"]["name"] = "suspended"
    job["spec"]["runPolicy"]["suspend"] = True
    status, kept = server.request("POST", JOBS, job)
    assert status == 201, kept
    for path in pausable:
        changed = copy.deepcopy(kept)
        manifests.put(changed, path, {"metadata": {"labels": {"team": "b"}}})
        assert _update(server, changed, None) == ""
    server.request("DELETE", f"{JOBS}/suspended")


def test_an_update_that_leaves_the_spec_alone_is_always_taken(server):
    """Else an object from before a rule could be neither labelled nor deleted."""
    job = manifests.minimal()
    job["metadata"].update(name="labelled", finalizers=["elephas.dev/test"])
    status, kept = server.request("POST", JOBS, job)
    assert status == 201, kept
    kept["metadata"]["labels"] = {"a": "b"}
    kept["metadata"].pop("finalizers")
    status, answer = server.request("PUT", f"{JOBS}/labelled", kept)
    assert status == 200, answer
    server.request("DELETE", f"{JOBS}/labelled")
