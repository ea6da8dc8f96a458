import re
import shutil
import subprocess

import pytest
import yaml


def of_kind(objects, kind):
    return [each for each in objects if each["kind"] == kind]


def only(objects, kind):
    found = of_kind(objects, kind)
    assert len(found) == 1, f"{len(found)} of kind {kind}"
    return found[0]


def container(objects):
    return only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def rules(objects):
    """Every rule with the object that grants it."""
    for kind in ("Role", "ClusterRole"):
        for role in of_kind(objects, kind):
            for rule in role["rules"]:
                yield role, rule


def test_lint_is_clean(helm, chart):
    done = helm("lint", chart, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout and "[ERROR]" not in done.stdout


def test_names_do_not_repeat_themselves(render):
    objects = render()
    assert only(objects, "Deployment")["metadata"]["name"] == "elephas-operator"
    assert only(objects, "ServiceAccount")["metadata"]["name"] == "elephas-operator"


def test_definition_is_that_of_the_tree_and_stays_after_uninstall(render, source_dir):
    installed = only(render(), "CustomResourceDefinition")
    assert installed["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    tree = yaml.safe_load((source_dir / "crds" / "elephasjobs.yaml").read_text())
    assert installed["spec"] == tree["spec"]
    assert "annotations" not in only(render({"crd": {"keep": False}}), "CustomResourceDefinition")["metadata"]
    assert not of_kind(render({"crd": {"install": False}}), "CustomResourceDefinition")


def test_everything_is_labelled(render):
    for each in render():
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "elephas-operator", each["kind"]
        assert labels["app.kubernetes.io/instance"] == "elephas", each["kind"]


def test_rights_are_few(render):
    for values in ({}, {"watchNamespaces": ["team-a"]}):
        for role, rule in rules(render(values)):
            where = f"{role['kind']} {role['metadata']['name']}: {rule}"
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], where
            assert not {"pods/exec", "pods/attach", "nodes", "configmaps"} & set(rule["resources"]), where
            if "secrets" in rule["resources"]:
                assert set(rule["verbs"]) == {"get", "create"}, where


def test_watched_namespaces_get_roles_and_nothing_is_granted_elsewhere(render):
    objects = render({"watchNamespaces": ["team-a", "team-b"]})
    granting = [role for role, rule in rules(objects) if "secrets" in rule["resources"]]
    assert [(each["kind"], each["metadata"]["namespace"]) for each in granting] == [
        ("Role", "team-a"), ("Role", "team-b")]
    assert not of_kind(objects, "ClusterRoleBinding")
    for role in of_kind(objects, "ClusterRole"):  # only those that people's own roles are made of
        assert any(label.startswith("rbac.authorization.k8s.io/aggregate-to-") for label in role["metadata"]["labels"])
    arguments = container(objects)["args"]
    assert "--namespace=team-a" in arguments and "--namespace=team-b" in arguments


def test_every_role_is_bound_to_the_operator(render):
    for values in ({}, {"watchNamespaces": ["team-a"]}):
        objects = render(values)
        account = only(objects, "ServiceAccount")["metadata"]
        for binding in of_kind(objects, "RoleBinding") + of_kind(objects, "ClusterRoleBinding"):
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]
            assert [each for each in of_kind(objects, binding["roleRef"]["kind"])
                    if each["metadata"]["name"] == binding["roleRef"]["name"]
                    and each["metadata"].get("namespace") == binding["metadata"].get("namespace")]


def test_operator_passes_pod_security_restricted(render):
    pod = only(render(), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = pod["containers"][0]["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_two_replicas_elect_a_leader_and_survive_a_drain(render):
    objects = render()
    assert only(objects, "Deployment")["spec"]["replicas"] == 2
    assert "--leader-elect" in container(objects)["args"]
    assert only(objects, "PodDisruptionBudget")["spec"]["minAvailable"] == 1
    lease = [rule for _, rule in rules(objects) if "leases" in rule["resources"] and "resourceNames" in rule]
    assert lease[0]["resourceNames"] == ["elephas-operator"]
    assert "--lease-name=elephas-operator" in container(objects)["args"]
    alone = render({"replicaCount": 1})
    assert not of_kind(alone, "PodDisruptionBudget")


def test_registry_is_put_before_every_image(render):
    objects = render({"imageRegistry": "registry.example.com/team/", "imagePullSecrets": ["mine"],
                      "jobs": {"imagePullSecrets": ["theirs"], "workerCudaImage": {"repository": "cuda", "tag": "9"}}})
    assert container(objects)["image"] == "registry.example.com/team/elephas-operator:0.1.0"
    arguments = container(objects)["args"]
    assert "--paramserver-image=registry.example.com/team/elephas-paramserver:0.1.0" in arguments
    assert "--worker-image=registry.example.com/team/elephas-worker:0.1.0" in arguments
    assert "--worker-cuda-image=registry.example.com/team/cuda:9" in arguments
    assert "--image-pull-secret=theirs" in arguments
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "mine"}]


def test_priority_class_is_made_and_used(render):
    objects = render({"priorityClass": {"create": True, "value": 5}})
    made = only(objects, "PriorityClass")
    assert made["value"] == 5
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["priorityClassName"] == made["metadata"]["name"]


def test_parts_can_be_left_out(render):
    objects = render({"networkPolicy": {"enabled": False}, "admissionPolicy": {"enabled": False},
                      "aggregateClusterRoles": False, "podDisruptionBudget": {"enabled": False},
                      "leaderElection": {"enabled": False}, "serviceAccount": {"create": False, "name": "mine"}})
    for kind in ("NetworkPolicy", "ValidatingAdmissionPolicy", "PodDisruptionBudget", "ServiceAccount", "Role"):
        assert not of_kind(objects, kind), kind
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


def test_every_argument_is_one_that_the_operator_takes(render, bin_dir):
    objects = render({"watchNamespaces": ["a"], "jobs": {
        "workerCudaImage": {"repository": "cuda"}, "imagePullSecrets": ["s"], "priorityClassName": "p",
        "networkPolicy": False, "monitoringNamespaces": ["m"]}})
    known = subprocess.run([bin_dir / "elephas-operator", "--help"], capture_output=True, text=True).stdout
    for argument in container(objects)["args"]:
        assert re.search(rf"^\s+{re.escape(argument.split('=')[0])}\b", known, re.MULTILINE), argument


@pytest.mark.parametrize("values", [
    {"replicas": 3},
    {"replicaCount": "two"},
    {"jobs": {"image": "x"}},
    {"jobs": {"imagePullPolicy": "Sometimes"}},
    {"watchNamespaces": ["Not-A-Namespace"]},
    {"log": {"level": "loud"}},
    {"crd": {"install": "yes"}},
], ids=str)
def test_wrong_values_are_refused(helm, chart, values, tmp_path):
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    done = helm("template", "elephas", chart, "--values", path)
    assert done.returncode != 0
    assert "schema" in done.stderr


def test_notes_tell_the_next_command(helm, chart, tmp_path):
    # Helm shows notes only of what it installs, so a copy of the chart puts them where they are rendered.
    copy = shutil.copytree(chart, tmp_path / "chart")
    (copy / "templates" / "notes.yaml").write_text(
        'notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}\n')
    done = helm("template", "elephas", copy, "--namespace", "elephas-system", "-s", "templates/notes.yaml")
    assert done.returncode == 0, done.stderr
    notes = yaml.safe_load(done.stdout)["notes"]
    assert "kubectl apply -f job.yaml" in notes
    assert "kubectl -n elephas-system rollout status deployment/elephas-operator" in notes
