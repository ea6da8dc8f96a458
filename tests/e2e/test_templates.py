"""Pod templates: what `elephas validate` says of one is what the API server says, and the operator has the last word."""

import json

import pytest
from jobs import manifest

_REFUSED = {
    "a misspelt field": {"spec": {"contaners": []}},
    "a field of a container in the spec": {"spec": {"volumeMounts": []}},
    "a field of the spec in the template": {"volumes": []},
    "text for a boolean": {"spec": {"hostNetwork": "yes"}},
    "a number for a name": {"spec": {"volumes": [{"name": 5}]}},
    "text for a mount": {"spec": {"containers": [{"volumeMounts": ["x"]}]}},
    "text for resources": {"spec": {"containers": [{"resources": "x"}]}},
    "an amount that is none": {"spec": {"containers": [{"resources": {"limits": {"memory": "1GB"}}}]}},
    "a mount without a path": {"spec": {"containers": [{"volumeMounts": [{"name": "data"}]}]}},
    "a word that is none": {"spec": {"dnsPolicy": "cluster"}},
    "a priority that is too large": {"spec": {"priority": 3_000_000_000}},
    "restartPolicy": {"spec": {"restartPolicy": "Always"}},
    "hostname": {"spec": {"hostname": "x"}},
    "arguments of our container": {"spec": {"containers": [{"args": ["x"]}]}},
    "a container without a name beside another": {"spec": {"containers": [{"name": "a"}, {"image": "b"}]}},
    "our variable": {"spec": {"containers": [{"env": [{"name": "POD_NAME", "value": "x"}]}]}},
    "our mount": {"spec": {"containers": [{"volumeMounts": [{"name": "data", "mountPath": "/etc/elephas"}]}]}},
    "our volume": {"spec": {"volumes": [{"name": "elephas-job", "emptyDir": {}}]}},
    "our label": {"metadata": {"labels": {"elephas.dev/index": "9"}}},
    "a label that is none": {"metadata": {"labels": {"a": "b c"}}},
    "a name": {"metadata": {"name": "x"}},
    "nothing in it": {"spec": None},
}
_TAKEN = {
    "nulls that take away, and others": {"metadata": None, "spec": {
        "tolerations": None, "volumes": None, "containers": [{"resources": {"requests": {"cpu": None}}}]}},
    "what kubectl prints of a template": {"metadata": {"creationTimestamp": None}, "spec": {"priority": 0}},
    "sidecars with what ours may not have": {"spec": {"containers": [
        {"name": "worker", "resources": {"limits": {"cpu": 2, "memory": "1e9"}}},
        {"name": "side", "image": "x", "args": ["y"], "env": [{"name": "POD_NAME", "value": "z"}]}]}},
}


@pytest.fixture
def verdicts(jobs, processes, bin_dir, tmp_path):
    """verdicts(template) -> whether `elephas validate` takes it, whether the API server does, and its words."""

    def of(template):
        job = manifest()
        # No volume is needed, so that the template is all that counts.
        job["spec"].update({"output": {"uri": "/out"}, "checkpoint": None, "parameterServers": None})
        job["spec"]["workers"]["template"] = template
        path = tmp_path / "template.json"
        path.write_text(json.dumps(job))
        validate = processes(bin_dir / "elephas", "validate", path)
        create = jobs.kubectl.try_run("create", "--dry-run=server", "-f", path)
        return validate.wait(60) == 0, create.returncode == 0, validate.output + create.stdout + create.stderr

    return of


def test_templates_have_one_verdict(verdicts):
    told = {}
    for expected, templates in ((False, _REFUSED), (True, _TAKEN)):
        for name, template in templates.items():
            here, there, words = verdicts(template)
            if (here, there) != (expected, expected):
                told[name] = (here, there, words)
    assert told == {}


def test_what_the_definition_does_not_look_at_ends_the_job_before_it_has_pods(jobs):
    """Fields of a probe are not in it, for its size."""
    job = manifest()
    job["spec"]["workers"]["template"]["spec"]["containers"][0]["startupProbe"] = {"httpGett": {"port": 80}}
    name = jobs.apply(job)
    failed = jobs.wait_failed(name)
    assert failed["reason"] == "TemplateInvalid"
    assert failed["message"] == ("spec.workers.template.spec.containers[0].startupProbe.httpGett: unknown field; did "
                                 "you mean 'httpGet'?")
    assert jobs.pods(name) == []


def test_the_fields_of_a_template_are_explained(jobs):
    told = jobs.kubectl.run("explain", "ej.spec.workers.template.spec.containers")
    for field in ("image\t<string>", "resources\t<Object>", "volumeMounts\t<[]Object>"):
        assert field in told
