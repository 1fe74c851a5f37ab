"""A real Kubernetes for tests, on this machine, with no container registry and nothing downloaded but source modules.

Two kinds of cluster, both with a real control plane (etcd, kube-apiserver, controller-manager, scheduler):

* simulated node (`kwok`): pods go through their phases without running anything; hundreds of trials a second.
  What becomes of a pod is chosen by its annotations, see `tests.cluster.kwok`.
* real node (`node`): containerd, runc, kubelet, kube-proxy and DNS; pods really run. One per machine.

On the command line: `python -m tests.cluster --help`. In tests: the fixtures in `tests.cluster.fixtures`.

This package knows nothing of sweeps; it must not import the operator or the trainer.
"""
