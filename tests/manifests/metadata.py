"""Metadata of every kind, right and wrong."""

_NAMES = ["a", "A", "a-b", "a_b", "a.b", "a..b", "-a", "a-", ".a", "a.", "1", "a" * 46, "", "a b", "a/b", "ä", "a\n"]
_KEYS = ["a", "A", "a/b", "a.b/c", "A.b/c", "/a", "a/", "a/b/c", "a b", "-a", "a-", "_a", "a_b", "a.b", "ä", "", "a" * 63, "a" * 64,
         "b" * 253 + "/a", "b" * 254 + "/a", "x" * 64 + ".y/a", "a..b/c", "-a/b", "a/B", "a/-b", "app.kubernetes.io/name", "1/2"]
_VALUES = ["", "a", "A-b_c.d", "-a", "a-", "a b", "ä", "a" * 63, "a" * 64, "a/b", "1", "a\n", None, 1, True, [], {}]
_TIMES = ["2026-11-30T12:00:00Z", "2026-11-30T12:00:00.5Z", "2026-11-30T12:00:00+01:00", "2026-11-30", "2026-11-30 12:00:00", "x", "",
          "2026-02-30T12:00:00Z", "2026-1-3T12:00:00Z", "2026-11-30t12:00:00Z", "2026-11-30T12:00:00", None, 1]
_OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}


def _with(field, values):
    return [{"name": "a", field: each} for each in values]


def table():
    rows = [{"name": each} for each in _NAMES] + [{"name": each} for each in [None, 1, True, [], {}]]
    rows += [{"generateName": each} for each in ["a", "a-", "a.", "a.b-", "-", "--", "A", "a" * 41, "a_", "", None, 1]]
    rows += [{"name": "a", "generateName": each} for each in ["a-", "A", "", None]]
    rows += _with("namespace", ["a", "", None, 1, "A", "a.b", "a-b", "a" * 63, "a" * 64])
    rows += _with("labels", [{each: "a"} for each in _KEYS] + [{"a": each} for each in _VALUES] + [None, {}, [], "a", 1])
    rows += _with("annotations", [{each: "a"} for each in _KEYS] + [{"a": each} for each in _VALUES] + [None, {}, [], "a", 1])
    rows += _with("annotations", [{"a": "x" * size} for size in (262_143, 262_144)] + [{"a": "x" * 131_072, "b": "x" * 131_071}])
    rows += _with("finalizers", [[], None, ["a/b"], ["a"], ["a b"], [""], [1], [None], "a", {}, ["orphan"], ["orphan", "foregroundDeletion"]])
    for field in ("uid", "resourceVersion", "selfLink"):
        rows += _with(field, ["a", "", None, 1, [], {}])
    for field in ("generation", "deletionGracePeriodSeconds"):
        rows += _with(field, [0, 1, -1 if field == "generation" else 2, 1.5, 1.0, "1", None, [], 2**63])
    for field in ("creationTimestamp", "deletionTimestamp"):
        rows += _with(field, _TIMES)
    rows += _with("ownerReferences", [[], None, [_OWNER], [{}], [_OWNER | {"controller": True}], [_OWNER | {"controller": "x"}], "a", [1],
                                      [_OWNER | {"controller": True}, _OWNER | {"uid": "v", "controller": True}], [_OWNER | {"x": 1}]])
    rows += _with("ownerReferences", [[_OWNER | {member: each}] for member in _OWNER for each in ("", None, 1)])
    rows += _with("managedFields", [[], None, [{"manager": "m", "operation": "Update", "apiVersion": "elephas.dev/v1alpha1", "time": "2026-11-30T12:00:00Z",
                                                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}, "subresource": "status"}],
                                    "a", [1], [{"x": 1}], [{"manager": 1}], [{"time": "x"}]])
    rows += _with("unknown", [1, None]) + _with("clusterName", ["a"])
    return rows
