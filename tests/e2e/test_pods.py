"""The images without the operator: a job of hand-written pods, as docs/design/operator.md describes them."""

import json
import shutil
import subprocess

import yaml
from kube import volume_folder

_MANIFEST = {
    "apiVersion": "elephas.dev/v1alpha1", "kind": "ElephasJob", "metadata": {"name": "digits"},
    "spec": {
        "mode": "synchronous", "model": {"uri": "model.json"},
        "compile": {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}},
                    "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "fit": {"epochs": 2, "batchSize": 32, "seed": 7},
        "data": {"uri": "digits.csv", "labels": ["label"], "partitions": 4},
        "workers": {"replicas": 2, "device": "cpu"},
        "output": {"uri": "out"},
    },
}


def _pod(name, image, arguments, **container):
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "job", "mountPath": "/etc/elephas", "readOnly": True},
              {"name": "tmp", "mountPath": "/tmp"}]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"role": name.split("-")[0]}},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "program", "image": image, "imagePullPolicy": "IfNotPresent", "args": arguments,
                "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": mounts, **container}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "digits"}},
                        {"name": "job", "secret": {"secretName": "digits-job", "defaultMode": 0o440}},
                        {"name": "tmp", "emptyDir": {}}],
        },
    }


def test_hand_written_job_gives_the_weights_of_a_local_run(kubectl, digits, bin_dir, image_names):
    local = digits / "job.yaml"
    local.write_text(yaml.safe_dump(_MANIFEST))
    done = subprocess.run([bin_dir / "elephas", "run", local, "--quiet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    kubectl.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "digits"},
         "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "digits-job"},
         "stringData": {"token": "secret-of-this-test", "manifest.json": json.dumps(_MANIFEST)}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server"},
         "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"role": "server"},
                  "ports": [{"port": 4000}]}})
    folder = volume_folder(kubectl, "digits")
    for name in ("model.json", "digits.csv"):
        shutil.copy(digits / name, folder)
    url = f"http://server.{kubectl.namespace}.svc.cluster.local:4000"
    kubectl.apply(
        _pod("server", image_names["paramserver"], [
            "--job", "/etc/elephas/manifest.json", "--uid", "1", "--index", "0", "--base", "/data",
            "--address", "0.0.0.0", "--port", "4000", "--token-file", "/etc/elephas/token", "--url", url]),
        *(_pod(f"worker-{index}", image_names["worker"], [
            "--server", url, "--name", f"worker-{index}", "--base", "/data", "--token-file", "/etc/elephas/token"],
            env=[{"name": "OMP_NUM_THREADS", "value": "1"}]) for index in range(2)))
    for index in range(2):
        pod = kubectl.wait_for("pod", f"worker-{index}",
                               lambda item: item.get("status", {}).get("phase") in ("Succeeded", "Failed"))
        assert pod["status"]["phase"] == "Succeeded", kubectl.story()
    ours = (folder / "out" / "model.safetensors").read_bytes()
    assert ours == (digits / "out" / "model.safetensors").read_bytes()
    history = json.loads((folder / "out" / "history.json").read_text())
    assert history["examples"] == json.loads((digits / "out" / "history.json").read_text())["examples"]
